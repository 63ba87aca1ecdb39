import type { FileInfo, UploadFile } from './types.js'

export interface HttpReply {
  status: number
  text: string
  header_(name: string): string | null | undefined
}

/** Tells the caller how to stop what has been started. */
export type OnStop = (stop: () => void) => void

export interface Transport {
  url: string
  patience_: number
  onStop_: OnStop
  /** Called with bytes that have gone out and, where known, of how many. */
  onSent_?(loaded: number, total: number): void
}

export interface HttpRequest extends Transport {
  method: string
  headers_?: Record<string, string>
  body_?: string | ArrayBuffer
}

export interface FormUpload<Source> extends Transport {
  /** In the order to send; the file follows last, as OSS demands. */
  fields: Record<string, string>
  fileField: string
  file_: Source
  name: string
}

/**
 * The few things that a mini-program and a browser do differently. Calls that end without an HTTP answer
 * reject with an UploadError. Members end in an underscore to be shortened in the package.
 */
export interface Platform<Source = unknown> {
  describe_(file: UploadFile<Source>): FileInfo | Promise<FileInfo>
  send_(request: HttpRequest): Promise<HttpReply>
  post_(upload: FormUpload<Source>): Promise<HttpReply>
  read_(file: Source, offset: number, length: number): Promise<ArrayBuffer>
  /** Native MD5 of a whole file in hex; rejects when there is none. */
  md5_(file: Source): Promise<string>
  /** Native SHA-256 of a few bytes in hex; rejects when there is none. */
  sha256_(bytes: Uint8Array): Promise<string>
  /** Settles when there is a network; calls onWait first when there is none now. */
  online_(onWait: () => void): Promise<void>
}
