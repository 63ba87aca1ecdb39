import type { Uploader, UploaderOptions } from '../core/types.js'
import { newUploader } from '../core/uploader.js'
import { wxPlatform } from './platform.js'
import { wechatSession } from './session.js'
import type { Wx } from './wx.js'

declare const wx: Wx

/** Options of createUploader in a mini-program. */
export interface WxUploaderOptions extends UploaderOptions<string> {
  /** Another `wx`, for tests. */
  wx?: Wx
}

/** An uploader for a mini-program. Without getToken the user is known by wx.login. */
export const createUploader = (options: WxUploaderOptions): Uploader<string> => {
  const wx_ = options.wx || wx
  return newUploader(wxPlatform(wx_), Object.assign({}, options, { getToken: options.getToken || wechatSession(options.endpoint, wx_) }))
}

export * from '../core/public.js'
export type { Wx } from './wx.js'
