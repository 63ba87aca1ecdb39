import { multipartWith, type MultipartOptions } from '../core/multipart.js'
import type { MultipartPlugin } from '../core/types.js'

/** For the option `multipart`: large files go in parts, and go on where they stopped when chosen again after a reload. */
export const multipart = (options?: MultipartOptions): MultipartPlugin =>
  multipartWith({
    get: key => localStorage.getItem(key),
    set: (key, value) => localStorage.setItem(key, value),
    remove: key => localStorage.removeItem(key),
  }, options)
