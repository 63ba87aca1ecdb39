import type { Batch, Uploader, UploaderOptions, UploadFile, UploadOptions } from '../core/types.js'
import { newUploader } from '../core/uploader.js'
import { browserPlatform } from './platform.js'

/** An uploader for web pages: takes File and Blob objects as they come from an input or a drop. */
export interface BrowserUploader extends Uploader<Blob> {
  upload(files: ArrayLike<UploadFile<Blob> | Blob>, options?: UploadOptions): Batch
}

export const createUploader = (options: UploaderOptions<Blob>): BrowserUploader => {
  const { upload, call } = newUploader(browserPlatform(), options)
  return {
    upload: (files, callbacks) => upload(Array.from(files, file => (file instanceof Blob ? { path: file } : file)), callbacks),
    call,
  }
}

export * from '../core/public.js'
