import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Files on disk with known content that all differ; removed after the test. */
export function tempFiles(t, count, size = 1000, ext = 'jpg') {
  const folder = mkdtempSync(path.join(tmpdir(), 'upload-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return Array.from({ length: count }, (_, i) => {
    const bytes = Buffer.alloc(typeof size === 'function' ? size(i) : size, `file ${i} of ${folder};`)
    const file = path.join(folder, `${i}.${ext}`)
    writeFileSync(file, bytes)
    return { path: file, name: `picture-${i}.${ext}`, size: bytes.length, bytes }
  })
}
