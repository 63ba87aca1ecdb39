import type { UploadError } from './errors.js'
import type { Job } from './job.js'
import { newScope } from './scope.js'
import type { Signer } from './signer.js'
import type { Grant, Verdict, WireFile } from './wire.js'

/** Verdicts of the signer, asked for as many files at once as it takes. */
export interface Grants {
  /** Whether the verdict will still hold when the last byte has arrived: that is when OSS looks at the expiry. */
  fresh_(job: Job): boolean
  keep_(job: Job, verdict: Verdict, asked: number): Verdict
  /** The verdict for a job; asks for its neighbours in the same request. */
  get_(job: Job, jobs: Job[]): Promise<Verdict>
  /** Asks ahead of time, so that nobody waits for a verdict in the middle of a batch. */
  ahead_(job: Job | undefined, jobs: Job[]): void
  /** Tells how long an upload took. */
  took_(bytes: number, ms: number): void
}

export const newGrants = (
  signer: Signer,
  ready: (job: Job) => Promise<void>,
  /** Large files have grants of another kind. */
  large: (job: Job) => boolean,
): Grants => {
  // Files per request; learnt from the signer when it says that there were too many.
  let limit = Infinity
  // Milliseconds per byte.
  let pace = 0

  const wants = (job: Job) => /wai|ing/.test(job.state_.status) && !job.asking_ && !job.doubt_ && !grants.fresh_(job)

  const request = async (group: Job[], first: Job) => {
    const known: Job[] = []
    await Promise.all(group.map(job => ready(job).then(() => large(job) || known.push(job), e => {
      if (job == first) throw e
    })))
    known.sort((a, b) => a.state_.index - b.state_.index)
    const asked = Date.now()
    try {
      const { uploads } = await signer.call_<{ uploads: Verdict[] }>(newScope(), 'POST', '/v1/uploads', {
        files: known.map(job => wireFile(job)),
      })
      signer.emit_('grant', undefined, uploads.length)
      known.forEach((job, i) => grants.keep_(job, uploads[i], asked))
    } catch (e) {
      const { status, problem } = e as UploadError
      if (known.length < 2 || !/400|413|422/.test(status + '')) throw e
      // The problem names the number that is allowed; should it be another number, the groups are only smaller.
      const hint = +(/\d+/.exec(problem!.detail!) || '')
      limit = hint && hint < known.length ? hint : Math.ceil(known.length / 2)
      // Those who wait come back one by one and ask again.
    }
  }

  const ask = (first: Job, jobs: Job[]) => {
    const group = [first].concat(jobs.filter(job => job != first && wants(job))).slice(0, limit)
    // Not in the scope of one file: the others need the answer even when the first is aborted.
    const asking = request(group, first)
    const set = (value?: Promise<void>) => group.forEach(job => (job.asking_ = value))
    set(asking)
    const end = () => set()
    asking.then(end, end)
    return asking
  }

  const grants: Grants = {
    fresh_: ({ verdict_, until_, info_ }) => !!verdict_ && (verdict_.status != 'upload' ||
      until_ - Date.now() > Math.min(5000 + info_!.size * pace, verdict_.expiresIn * 800)),

    keep_(job, verdict, asked) {
      // Only the server's lifetime and this device's passing of time count, never its wall clock.
      job.until_ = asked + (verdict as Grant).expiresIn * 1000
      return job.verdict_ = verdict
    },

    async get_(job, jobs) {
      if (!grants.fresh_(job)) job.verdict_ = undefined
      // Again when the group was too large. What comes is used, even when its life is too short for this link.
      while (!job.verdict_) await job.scope_.run_(() => job.asking_ || ask(job, jobs))
      return job.verdict_
    },

    ahead_(job, jobs) {
      if (job && wants(job)) ask(job, jobs).catch(() => {})
    },

    took_(bytes, ms) {
      // Small files tell about latency only.
      if (bytes > 65536) pace = ms / bytes
    },
  }
  return grants
}

/** A file as the signer wants to hear of it. */
export const wireFile = ({ info_, hash_, file_ }: Job): WireFile => ({
  name: info_!.name, size: info_!.size, contentType: info_!.type, md5: hash_, metadata: file_.meta,
})
