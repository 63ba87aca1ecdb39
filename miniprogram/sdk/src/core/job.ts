import type { Scope } from './scope.js'
import type { FileInfo, FileState, UploadFile, UploadResult } from './types.js'
import type { Verdict } from './wire.js'

/** One file on its way. */
export interface Job {
  /** What is shown. */
  state_: FileState
  file_: UploadFile<any>
  info_?: FileInfo
  scope_: Scope
  result_?: UploadResult
  /** Settles when file and hash are known. */
  ready_?: Promise<void>
  hash_?: string
  /** What the signer said last, and until when it holds by this device's clock. */
  verdict_?: Verdict
  until_: number
  asking_?: Promise<void>
  /** Ticket of an attempt that may have stored the object although no answer came. */
  doubt_?: string
  /** A refusal other than expiry was already answered with a new grant. */
  resigned_?: boolean
}

/** How a file that did not fail has ended. */
export type Outcome = Pick<UploadResult, 'status' | 'id' | 'key' | 'etag' | 'confirmed'>
