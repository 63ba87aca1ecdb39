import type { UploadFile } from '../core/types.js'

/** For the option `compress`: makes JPEG pictures above a size (default 1 MiB) smaller before they are sent. */
export const compressImages = ({ quality = 80, maxWidth = 0, overBytes = 1 << 20 } = {}) =>
  async (file: UploadFile<Blob>): Promise<UploadFile<Blob>> => {
    const blob = file.path
    if (blob.type != 'image/jpeg' || blob.size < overBytes) return file
    try {
      const image = await createImageBitmap(blob)
      const scale = Math.min(1, (maxWidth || image.width) / image.width)
      const canvas = document.createElement('canvas')
      canvas.width = Math.round(image.width * scale)
      canvas.height = Math.round(image.height * scale)
      canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height)
      const small = await new Promise<Blob | null>(resolve => canvas.toBlob(resolve, blob.type, quality / 100))
      return small && small.size < blob.size ? { ...file, path: small, name: file.name || (blob as File).name } : file
    } catch (e) {
      // The original is better than nothing.
      return file
    }
  }
