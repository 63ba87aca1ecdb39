import { newFiles, type Files } from './batch.js'
import { newGrants } from './grants.js'
import type { Job } from './job.js'
import type { Platform } from './platform.js'
import { newScope } from './scope.js'
import { newSigner } from './signer.js'
import { newTransfer } from './transfer.js'
import type { Uploader, UploaderOptions } from './types.js'

/** An uploader for one user of one tenant on a platform. */
export const newUploader = <S>(platform: Platform<S>, given: UploaderOptions<S>): Uploader<S> => {
  const options = Object.assign({}, given, { endpoint: given.endpoint.replace(/\/+$/, '') })
  const { compress, hash, md5, multipart, messages } = options
  // WeChat refuses an eleventh connection.
  const width = Math.max(1, Math.min(10, options.concurrency || 3))
  let batches: Files[] = []
  let active = 0
  let hashing: Promise<unknown> = Promise.resolve()

  /** Learns name, size, type and hash of a file. */
  const prepare = async (job: Job) => {
    const file = (job.file_ = compress ? await compress(job.file_) : job.file_)
    const info = (job.info_ = await platform.describe_(file))
    if (hash == 'off') return
    job.hash_ = await platform.md5_(file.path).catch(() => {
      // One at a time: it runs on the thread that draws the page. OSS has no MD5 of what came in parts.
      const hashed = hashing.then(() => md5 && !large(job) ? md5((offset, length) => platform.read_(file.path, offset, length), info.size) : undefined)
      hashing = hashed.catch(() => {})
      return hashed
    })
  }
  const ready = (job: Job) => job.ready_ || (job.ready_ = prepare(job))

  const signer = newSigner(platform, options)
  const parts = multipart && multipart(platform, signer)
  const large = (job: Job) => !!parts && parts.wants_(job)
  const grants = newGrants(signer, ready, large)
  const transfer = newTransfer(platform, signer, grants)

  /** Lends the free places in the queue to the parts of a large file. */
  const spare = (work: () => Promise<void>) => {
    const extra: Promise<void>[] = []
    while (active < width) {
      active++
      const end = () => {
        active--
        pump()
      }
      const working = work()
      working.then(end, end)
      extra.push(working)
    }
    return extra
  }

  const start = async (job: Job, batch: Files) => {
    const { scope_, state_ } = job
    const { jobs_ } = batch
    active++
    batch.set_(job, 'uploading')
    try {
      await scope_.run_(() => ready(job))
      state_.total = job.info_!.size
      // A stopped transfer may still report.
      const sent = (loaded: number) => scope_ == job.scope_ && !scope_.stopped_ && batch.sent_(job, loaded)
      const form = () => transfer(job, jobs_, sent)
      const done = large(job) ? parts!.run_(job, sent, spare, form) : form()
      grants.ahead_(jobs_[state_.index + 2 * width], jobs_)
      batch.end_(job, await done)
    } catch (e) {
      // A stopped file is paused, or its end is told already.
      if (!scope_.stopped_) batch.end_(job, { status: 'failed' }, e)
    }
    signer.emit_('end', state_.index, state_.status)
    active--
    pump()
  }

  /** Starts waiting files in order while there is room. */
  const pump = () => {
    batches = batches.filter(batch => batch.open_)
    batches.forEach(batch => batch.jobs_.forEach(job => active < width && job.state_.status == 'waiting' && start(job, batch)))
  }

  const join = (batch: Files) => {
    if (batches.indexOf(batch) < 0) batches.push(batch)
    pump()
  }

  return {
    upload(files, callbacks = {}) {
      const batch = newFiles(Array.from(files), callbacks, join, messages)
      // Not at once: the caller has yet to receive the batch that its callbacks may want to use.
      Promise.resolve(batch).then(join)
      return batch
    },
    call: (method, path, body) => signer.call_(newScope(), method, path, body),
  }
}
