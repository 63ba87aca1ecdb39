import type { ErrorCode, UploadError } from './errors.js'
import type { Job, Outcome } from './job.js'
import type { Platform } from './platform.js'
import type { Signer } from './signer.js'

/**
 * One file to upload. `Source` is a local path in a mini-program and a `Blob` in a browser. Everything but
 * the source may be left out: the platform then finds the size, and name and type follow from the path.
 */
export interface UploadFile<Source = unknown> {
  path: Source
  /** Name shown to people; made up from the time and the extension when empty, as chooseMedia gives none. */
  name?: string
  /** Bytes. */
  size?: number
  /** MIME type; guessed from the extension when empty. */
  type?: string
  /** Small strings that travel with the upload into its record and its event. */
  meta?: Record<string, string>
}

/** What is known of a file once the platform has looked at it. */
export interface FileInfo {
  name: string
  size: number
  type: string
  /** Tells this file from others when an upload is resumed after a restart. */
  mark_: string
}

export type Status =
  /** in the queue, or between two attempts */
  | 'waiting'
  /** bytes travel, or the server is asked to confirm them */
  | 'uploading'
  /** stopped by pause(), bytes of a multipart upload are kept */
  | 'paused'
  /** stored by this upload */
  | 'uploaded'
  /** the server had the content already: no bytes travelled (秒传) */
  | 'instant'
  | 'failed'
  | 'aborted'

/** State of one file, for a list on the screen. */
export interface FileState {
  index: number
  name: string
  status: Status
  loaded: number
  total: number
  /** 0 to 100, whole numbers. */
  percent: number
  /** Times that bytes were sent. */
  attempts: number
  error?: UploadError
}

/** State of a batch. Bytes count once, however often a file had to be sent; failed files do not count. */
export interface Progress {
  loaded: number
  total: number
  /** 0 to 100, whole numbers. */
  percent: number
  /** Bytes per second over the last few seconds. */
  speedBps: number
  /** Milliseconds left at that speed; absent while nothing moves. */
  etaMs?: number
  perFile: FileState[]
}

/** How one file ended; results stand in the order of the files. */
export interface UploadResult {
  status: 'uploaded' | 'instant' | 'failed' | 'aborted'
  index: number
  name: string
  /** Times that bytes were sent; 0 for an instant upload. */
  attempts: number
  /** Id of the upload at the signer, for list, read and delete. */
  id?: string
  /** Object key in the bucket. */
  key?: string
  /** Lower-case hex MD5, when it was computed. */
  hash?: string
  etag?: string
  url?: string
  /**
   * Whether the signer has recorded the upload. False only when bytes are stored but the signer could not be
   * reached to say so: its sweeper records the object later.
   */
  confirmed?: boolean
  error?: UploadError
}

/** For logs and metrics of the application; never holds a token, a ticket or a form field. */
export interface UploadEvent {
  type: 'grant' | 'retry' | 'resign' | 'confirm' | 'offline' | 'end'
  /** Index of the file, when the event is about one. */
  index?: number
  /** Number of files (`grant`), milliseconds until the next attempt (`retry`), status (`end`). */
  value?: number | string
  error?: UploadError
}

export interface UploadOptions {
  /** An AbortSignal, or anything that looks like one. */
  signal?: { readonly aborted: boolean; addEventListener(type: 'abort', listener: () => void): void }
  /** Called at most every 100 ms, and once at the end: one setData per call is right. */
  onProgress?(progress: Progress): void
  /** Called when the status of a file changes. */
  onFile?(index: number, state: FileState): void
}

export interface Batch {
  /** Settles when every file has ended; never rejects. After retryFailed() it is a new promise. */
  done: Promise<UploadResult[]>
  /** Stops transfers and starts no new ones. A form upload starts over on resume(), a multipart upload goes on. */
  pause(): void
  resume(): void
  abort(): void
  abortFile(index: number): void
  /** Queues failed and aborted files again, or one of them; resolves like `done`. */
  retryFailed(index?: number): Promise<UploadResult[]>
}

export interface RetryOptions {
  /** Times that one step is tried in all. Default 4. */
  attempts?: number
  /** Default 500. */
  baseMs?: number
  /** Default 15000. */
  capMs?: number
  /** The wait before attempt n is random between 0 and min(capMs, baseMs * 2^n). */
  jitter?: 'full'
}

export interface UploaderOptions<Source = unknown> {
  /** Base URL of the signer, for example https://upload.example.com/family/album. */
  endpoint: string
  /**
   * The bearer token of the user. Called once, and again with `true` when the signer refused the last one.
   * A mini-program may leave it out: wx.login is then traded for a token at the signer.
   */
  getToken?(refresh: boolean): string | Promise<string>
  /** Files in flight at once, over all batches of this uploader: 1 to 10, as WeChat allows ten. Default 3. */
  concurrency?: number
  retry?: RetryOptions
  /** `auto` asks for instant upload when a hash can be had; `off` always sends bytes. Default auto. */
  hash?: 'auto' | 'off'
  /** MD5 in script, from the entry `md5`, for platforms that have none (every browser, old WeChat). */
  md5?: Md5
  /** Called for each file before it is hashed; see compressImages. */
  compress?(file: UploadFile<Source>): UploadFile<Source> | Promise<UploadFile<Source>>
  /** Sends large files in parts that survive pause, failure and restart; from the entry `multipart`. */
  multipart?: MultipartPlugin
  /** Texts of errors, `zh` or `en` from the entry `messages`, or your own. Default: the code and what the server said. */
  messages?: Record<ErrorCode, string>
  /** Patience for one request in ms; an upload gets more by its size. Default 60000. */
  timeoutMs?: number
  onEvent?(event: UploadEvent): void
}

/** Computes a hex MD5 from slices, so that a large file need not fit into memory. */
export type Md5 = (read: (offset: number, length: number) => Promise<ArrayBuffer>, size: number) => Promise<string>

/** What the entry `multipart` gives; opaque to applications. */
export type MultipartPlugin = (platform: Platform<any>, signer: Signer) => {
  /** @internal */
  wants_(job: Job): boolean
  /** @internal spare starts more workers while the queue has room; form sends the file the other way. */
  run_(
    job: Job, sent: (loaded: number) => void,
    spare: (work: () => Promise<void>) => Promise<void>[], form: () => Promise<Outcome>,
  ): Promise<Outcome>
}

/** Uploads files of one user to one tenant. */
export interface Uploader<Source = unknown> {
  /** Starts to upload; the batch tells how it goes. */
  upload(files: ArrayLike<UploadFile<Source>>, options?: UploadOptions): Batch
  /**
   * Calls the signer as the user, with the same patience as uploads; rejects with an UploadError. For example
   * `call('DELETE', '/v1/uploads/' + id)`, or `call('POST', '/v1/uploads/' + id + '/url', {process: 'thumb'})`.
   */
  call<T = any>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T>
}
