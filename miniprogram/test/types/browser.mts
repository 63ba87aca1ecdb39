// Compiled only: the package as a web page uses it.
import { createUploader, type BrowserUploader } from '@uploadtenant/uploader'
import { compressImages } from '@uploadtenant/uploader/compress'
import { md5 } from '@uploadtenant/uploader/md5'
import { en } from '@uploadtenant/uploader/messages'
import { multipart } from '@uploadtenant/uploader/multipart'

const uploader: BrowserUploader = createUploader({
  endpoint: 'https://upload.example.com', getToken: () => 'token', md5, messages: en, multipart: multipart(), compress: compressImages(),
})
const input = document.querySelector('input')!
const abort = new AbortController()
const batch = uploader.upload(input.files!, { signal: abort.signal, onProgress: p => console.log(p.percent, p.speedBps, p.perFile[0].status) })
await uploader.upload([new Blob(['x']), { path: new Blob(['y']), name: 'y.txt', meta: { album: 'a' } }]).done
const list = await uploader.call<{ items: { id: string }[] }>('GET', '/v1/uploads')
console.log((await batch.done).length, list.items[0].id)
// @ts-expect-error a path is no Blob
uploader.upload(['x.jpg'])
