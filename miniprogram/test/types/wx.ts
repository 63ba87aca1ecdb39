// Compiled only: the package as a TypeScript mini-program uses it, beside the official typings of wx.
import { createUploader, UploadError, type Progress, type UploadResult, type Wx } from '@uploadtenant/uploader'
import { md5 } from '@uploadtenant/uploader/md5'
import { zh } from '@uploadtenant/uploader/messages'
import { multipart } from '@uploadtenant/uploader/multipart'
import { chooseMedia, chooseMessageFile, compressImages } from '@uploadtenant/uploader/pickers'

// The real wx fits.
const real: Wx = wx

Page({
  async onPick() {
    const uploader = createUploader({
      endpoint: 'https://upload.example.com', wx: real, concurrency: 3, md5, multipart: multipart({ from: 1 << 20 }), messages: zh,
      retry: { attempts: 4, baseMs: 500, capMs: 15000, jitter: 'full' }, compress: compressImages({ quality: 80 }),
      getToken: async (refresh: boolean) => (refresh ? 'new' : 'old'),
      onEvent: event => console.log(event.type, event.index, event.value),
    })
    const files = [...(await chooseMedia({ count: 9 })), ...(await chooseMessageFile())]
    const batch = uploader.upload(files, {
      onProgress: (p: Progress) => this.setData({ percent: p.percent, left: p.etaMs }),
      onFile: (i, state) => this.setData({ [`files[${i}]`]: state }),
    })
    batch.pause()
    batch.resume()
    batch.abortFile(0)
    const results: UploadResult[] = await batch.done
    for (const r of results) {
      if (r.error instanceof UploadError) console.log(r.error.code, r.error.message, r.error.oss?.ec, r.error.problem?.requestId)
      else console.log(r.index, r.key, r.hash)
    }
    await batch.retryFailed()
    // @ts-expect-error there is no such class of failure
    if (results[0].error?.code === 'nonsense') return
    // @ts-expect-error the endpoint is needed
    createUploader({})
  },
})
