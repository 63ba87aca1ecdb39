import type { components } from '../api.gen.js'

/** Classes of failure; the application may decide by them. The entry `messages` has a text for each. */
export type ErrorCode =
  | 'aborted'
  | 'network'
  | 'timeout'
  /** the mini-program's domain list lacks the host */
  | 'domain'
  /** the file is gone or may not be read */
  | 'unreadable'
  /** the token was refused, also after a new one was asked for */
  | 'auth'
  | 'denied'
  | 'tooLarge'
  | 'tooSmall'
  | 'type'
  | 'quota'
  /** the server refused the file for another reason; see problem and oss */
  | 'rejected'
  | 'expired'
  | 'server'

/** What matters of the `<Error>` document of OSS. */
export interface OssError {
  code: string
  /** Number of the exact cause, https://api.aliyun.com/troubleshoot?q=<ec>. */
  ec: string
  requestId: string
}

/** RFC 9457 problem document of the signer. */
export type Problem = Partial<components['schemas']['Problem']>

interface Facts {
  /** What the server or the platform said, in its own words: for logs, not for people. */
  readonly detail?: string
  /** HTTP status; absent when there was no answer. */
  readonly status?: number
  readonly oss?: OssError
  readonly problem?: Problem
  /** Seconds that the server asked to wait. */
  readonly retryAfter?: number
}

export interface UploadError extends Facts {}

export class UploadError extends Error {
  readonly code: ErrorCode
  /** @internal All attempts were used up further down. */
  spent_?: boolean

  constructor(code: ErrorCode, facts?: Facts) {
    super(code)
    Object.assign(this, facts)
    this.code = code
  }
}

/** Whether the same step may succeed later without anybody doing anything. */
export const passing = ({ code, status, retryAfter }: UploadError): boolean =>
  // A wait of more than a minute is a used-up daily limit rather than a short rush.
  /work|out|exp|ser/.test(code) || (status == 429 && !(retryAfter! > 60))

/**
 * The class of a refusal by HTTP status and by what the server calls it: a code of the signer, or code and
 * EC of OSS. Of the latter, https://help.aliyun.com/zh/oss/user-guide/<EC>: 0006-00000213 is an expired
 * policy, 0002-00000007 an expired STS token, 0002-00000709 a signing date too long ago.
 */
export const refusal = (status: number, name: string, facts: Facts): UploadError =>
  new UploadError(
    status < 300 || status > 499 || status == 408 ? 'server'
    : status == 429 || /quota/.test(name) ? 'quota'
    : status == 401 ? 'auth'
    : /0213|02-00000007|0709|Token|KeyId|Skew/.test(name) ? 'expired'
    : status == 403 ? 'denied'
    : /large/i.test(name) ? 'tooLarge'
    : /small/i.test(name) ? 'tooSmall'
    : /type|ext/.test(name) ? 'type'
    : 'rejected',
    Object.assign({ status }, facts),
  )

/** Error for an answer of OSS that is no success. */
export const ossError = (status: number, xml: string): UploadError => {
  const [code, ec, requestId] = ['Code', 'EC', 'RequestId'].map(tag => (RegExp('<' + tag + '>([^<]*)').exec(xml) || '')[1] || '')
  const detail = code + ' ' + ec + ' ' + requestId
  return refusal(status, detail, { detail, oss: { code, ec, requestId } })
}

/** Error for a problem document of the signer, alone or inside a batch. */
export const problemError = (problem: Problem, status: number, retryAfter?: number): UploadError =>
  refusal(status, problem.code || '', { problem, retryAfter, detail: problem.detail })

/** Any thrown value as an UploadError. */
export const asUploadError = (e: any): UploadError => (e.code ? e : new UploadError('rejected', { detail: String(e) }))
