import { asUploadError } from './errors.js'
import type { Job, Outcome } from './job.js'
import { newScope } from './scope.js'
import { tell } from './signer.js'
import type { Batch, Status, UploaderOptions, UploadFile, UploadOptions, UploadResult } from './types.js'

/** The files of one upload() call: their states, their order, and what a person may do with them. */
export interface Files extends Batch {
  jobs_: Job[]
  /** How many have not ended. */
  open_: number
  set_(job: Job, status: Status): void
  /** Notes how many bytes of a file have moved. */
  sent_(job: Job, loaded: number): void
  end_(job: Job, outcome: Outcome, thrown?: unknown): void
}

export const newFiles = (
  files: readonly UploadFile<any>[],
  { onFile, onProgress, signal }: UploadOptions,
  join: (batch: Files) => void,
  messages: UploaderOptions['messages'],
): Files => {
  let paused = false
  let timer: any
  let settle: (results: UploadResult[]) => void
  // Bytes that moved and when, for the speed: long enough to smooth over files, short enough to notice a tunnel.
  let moved = 0
  let marks: [time: number, moved: number][] = []

  const jobs = files.map((file, index): Job => ({
    state_: { index, name: file.name || '', status: 'waiting', loaded: 0, total: file.size || 0, percent: 0, attempts: 0 },
    file_: file,
    scope_: newScope(),
    until_: 0,
  }))

  const share = (loaded: number, total: number, ended?: unknown) => (ended ? 100 : total ? Math.min(99, Math.floor((loaded / total) * 100)) : 0)

  const report = () => {
    clearTimeout(timer)
    timer = 0
    const perFile = jobs.map(job => Object.assign({}, job.state_))
    // What will not arrive takes no time.
    const sum = (of: 'loaded' | 'total') => perFile.reduce((n, s) => n + (s.error ? 0 : s[of]), 0)
    const loaded = sum('loaded')
    const total = sum('total')
    const [[since, before]] = marks.length ? marks : [[0, 0]]
    const speedBps = batch.open_ && Date.now() > since ? Math.round(((moved - before) * 1000) / (Date.now() - since)) : 0
    tell(onProgress, {
      loaded, total, speedBps, perFile,
      percent: share(loaded, total, !batch.open_ && loaded == total),
      etaMs: speedBps ? Math.round(((total - loaded) / speedBps) * 1000) : undefined,
    })
  }

  const requeue = (job: Job) => {
    job.scope_ = newScope()
    batch.sent_(job, 0)
    batch.set_(job, paused ? 'paused' : 'waiting')
  }

  const reopen = (again: Job[]) => {
    if (!batch.open_) batch.done = new Promise(resolve => (settle = resolve))
    batch.open_ += again.length
    if (!batch.open_) settle([])
  }

  const batch: Files = {
    jobs_: jobs,
    open_: 0,
    done: undefined!,

    pause() {
      paused = true
      jobs.forEach(job => {
        if (!job.result_) {
          batch.set_(job, 'paused')
          job.scope_.stop_()
        }
      })
    },
    resume() {
      paused = false
      jobs.forEach(job => job.state_.status == 'paused' && requeue(job))
      join(batch)
    },
    abort() {
      jobs.forEach((_, i) => batch.abortFile(i))
    },
    abortFile(index) {
      const job = jobs[index]
      if (!job.result_) {
        job.scope_.stop_()
        batch.end_(job, { status: 'aborted' }, job.scope_.stopped_)
        join(batch)
      }
    },
    retryFailed(index) {
      const again = jobs.filter((job, i) => job.result_ && job.result_.error && (index == null || i == index))
      reopen(again)
      again.forEach(job => {
        job.state_.error = job.result_ = job.ready_ = job.verdict_ = job.resigned_ = undefined
        requeue(job)
      })
      join(batch)
      return batch.done
    },

    sent_({ state_ }, loaded) {
      moved += Math.max(0, loaded - state_.loaded)
      state_.loaded = loaded
      state_.percent = share(loaded, state_.total, /ded|ins/.test(state_.status))
      const now = Date.now()
      marks = marks.filter(([time], i) => now - time < 5000 || i == marks.length - 1)
      if (!marks.length || now - marks[marks.length - 1][0] > 200) marks.push([now, moved])
      // 100 ms: a setData for every event of ten uploads would stall the page.
      if (onProgress && !timer) timer = setTimeout(report, 100)
    },
    set_(job, status) {
      const { state_, info_ } = job
      state_.status = status
      if (info_) {
        state_.name = info_.name
        state_.total = info_.size
      }
      batch.sent_(job, state_.loaded)
      tell(onFile, state_.index, Object.assign({}, state_))
    },
    end_(job, outcome, thrown) {
      if (job.result_) return
      const { state_, hash_, info_ } = job
      const error = thrown ? asUploadError(thrown) : undefined
      if (error && messages) error.message = messages[error.code]
      state_.error = error
      batch.sent_(job, thrown ? 0 : info_!.size)
      batch.set_(job, outcome.status)
      const { index, name, attempts } = state_
      job.result_ = Object.assign({ index, name, attempts, hash: hash_, error }, outcome) as UploadResult
      if (!--batch.open_) {
        report()
        settle(jobs.map(j => j.result_!))
      }
    },
  }
  reopen(jobs)
  if (signal) {
    if (signal.aborted) batch.abort()
    else signal.addEventListener('abort', batch.abort)
  }
  return batch
}
