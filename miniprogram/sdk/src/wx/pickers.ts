import { extension } from '../core/files.js'
import type { UploadFile } from '../core/types.js'
import { promised, type Wx } from './wx.js'

declare const wx: Wx

/** A file that was picked, with what is of use for a preview. */
export interface PickedFile extends UploadFile<string> {
  /** Path of a small picture: the file itself, or the first frame of a video. */
  thumb?: string
}

// Closing the picker is no error.
const pick = async (name: 'chooseMedia' | 'chooseMessageFile', options: object, map: (file: any) => PickedFile): Promise<PickedFile[]> => {
  try {
    return (await promised<{ tempFiles: any[] }>(o => wx[name](Object.assign({}, options, o)))).tempFiles.map(map)
  } catch (e) {
    if (/cancel/.test((e as { errMsg: string }).errMsg)) return []
    throw e
  }
}

/** Pictures and videos from album or camera; takes the options of wx.chooseMedia. Empty when closed. */
export const chooseMedia = (options: object = {}): Promise<PickedFile[]> =>
  pick('chooseMedia', options, f => ({ path: f.tempFilePath, size: f.size, thumb: f.thumbTempFilePath || f.tempFilePath }))

/** Files from a chat; takes the options of wx.chooseMessageFile. Empty when closed. */
export const chooseMessageFile = (options: object = {}): Promise<PickedFile[]> =>
  pick('chooseMessageFile', Object.assign({ count: 100 }, options), f => ({ path: f.path, name: f.name, size: f.size, thumb: f.type == 'image' ? f.path : undefined }))

/** For the option `compress`: makes JPEG pictures above a size (default 1 MiB) smaller before they are sent. */
export const compressImages = ({ quality = 80, maxWidth = 0, overBytes = 1 << 20 } = {}) =>
  async (file: UploadFile<string>): Promise<UploadFile<string>> => {
    if (!/^jpe?g$/i.test(extension(file.path)) || file.size! < overBytes) return file
    const options = { src: file.path, quality, compressedWidth: maxWidth || undefined }
    try {
      const { tempFilePath } = await promised<{ tempFilePath: string }>(c => wx.compressImage(Object.assign(options, c)))
      return Object.assign({}, file, { path: tempFilePath, size: undefined })
    } catch (e) {
      // The original is better than nothing.
      return file
    }
  }
