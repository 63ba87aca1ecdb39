import { UploadError } from '../core/errors.js'
import { extension, madeUpName } from '../core/files.js'
import type { HttpReply, Platform, Transport } from '../core/platform.js'
import { promised, type Wx } from './wx.js'

interface Failure {
  errMsg: string
}

// wx tells failures apart only in words; these have been the same since the first base library.
const failure = ({ errMsg }: Failure): UploadError =>
  new UploadError(
    /abort/.test(errMsg) ? 'aborted'
    : /time ?out/.test(errMsg) ? 'timeout'
    : /domain/.test(errMsg) ? 'domain'
    : /no such|not found|not exist|permission/.test(errMsg) ? 'unreadable'
    : 'network',
    { detail: errMsg },
  )

const unreadable = ({ errMsg }: Failure): never => {
  throw new UploadError('unreadable', { detail: errMsg })
}

/** The WeChat side: wx.uploadFile, wx.request and the file system. */
export const wxPlatform = (wx_: Wx): Platform<string> => {
  const fs = wx_.getFileSystemManager()
  const info = (filePath: string, digestAlgorithm?: 'md5' | 'sha256') =>
    promised<{ size: number; digest?: string }>(o => fs.getFileInfo(Object.assign({ filePath, digestAlgorithm }, o)))
  const digest = async (filePath: string, algorithm: 'md5' | 'sha256') => {
    const { digest } = await info(filePath, algorithm)
    if (!digest) throw new UploadError('unreadable')
    return digest
  }
  // Resolves for every HTTP status, as wx does.
  const start = (call: (o: any) => any, { patience_, onStop_, onSent_ }: Transport, options: object) =>
    new Promise<HttpReply>((resolve, reject) => {
      const task = call(Object.assign(options, {
        timeout: Math.round(patience_),
        success: ({ statusCode, data, header }: any) => resolve({
          status: statusCode,
          text: data,
          header_(name) {
            for (const key in header) if (key.toLowerCase() == name) return header[key]
          },
        }),
        fail: (e: Failure) => reject(failure(e)),
      }))
      onStop_(() => task.abort())
      if (onSent_ && task.onProgressUpdate) task.onProgressUpdate((p: any) => onSent_(p.totalBytesSent, p.totalBytesExpectedToSend))
    })

  return {
    describe_: async ({ path, name, size, type }) => ({
      name: name || madeUpName(extension(path)),
      size: size == null ? (await info(path).catch(unreadable)).size : size,
      // Without a type the signer goes by the extension.
      type: type || '',
      mark_: path + size,
    }),

    md5_: path => digest(path, 'md5'),

    async sha256_(bytes) {
      // There is no digest for bytes in memory, but there is one for files.
      const filePath = wx_.env.USER_DATA_PATH + '/ut-proof-' + Math.random()
      try {
        await promised<void>(o => fs.writeFile(Object.assign({ filePath, data: bytes.buffer as ArrayBuffer }, o)))
        return await digest(filePath, 'sha256')
      } finally {
        fs.unlink({ filePath })
      }
    },

    read_: async (filePath, position, length) =>
      (await promised<{ data: ArrayBuffer }>(o => fs.readFile(Object.assign({ filePath, position, length }, o))).catch(unreadable)).data,

    // As text: it is parsed, and refused, in one place.
    send_: request => start(o => wx_.request(o), request, {
      url: request.url, method: request.method, header: request.headers_, data: request.body_, dataType: 'text',
    }),

    post_: form => start(o => wx_.uploadFile(o), form, {
      url: form.url, filePath: form.file_, name: form.fileField, formData: form.fields,
    }),

    async online_(onWait) {
      const { networkType } = await promised<{ networkType: string }>(o => wx_.getNetworkType(o)).catch(() => ({ networkType: '' }))
      if (networkType == 'none') {
        onWait()
        await new Promise<void>(resolve => {
          const listener = ({ isConnected }: { isConnected: boolean }) => {
            if (isConnected) {
              wx_.offNetworkStatusChange && wx_.offNetworkStatusChange(listener)
              resolve()
            }
          }
          wx_.onNetworkStatusChange(listener)
        })
      }
    },

  }
}
