export { UploadError, type ErrorCode, type OssError, type Problem } from './errors.js'
export type {
  Batch, FileState, Md5, Progress, RetryOptions, Status, Uploader, UploaderOptions, UploadEvent, UploadFile, UploadOptions, UploadResult,
} from './types.js'
export type { UploadRecord } from './wire.js'
