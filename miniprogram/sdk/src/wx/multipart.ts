import { multipartWith, type MultipartOptions } from '../core/multipart.js'
import type { MultipartPlugin } from '../core/types.js'
import type { Wx } from './wx.js'

declare const wx: Wx

/**
 * For the option `multipart`: large files go in parts, and go on where they stopped after pause or restart.
 * A temporary path does not survive a restart: keep the file with wx.getFileSystemManager().saveFile first.
 */
export const multipart = (options?: MultipartOptions): MultipartPlugin =>
  multipartWith({ get: key => wx.getStorageSync(key), set: (key, value) => wx.setStorageSync(key, value), remove: key => wx.removeStorageSync(key) }, options)
