import type { components } from '../api.gen.js'
import { ossError, UploadError } from './errors.js'
import { wireFile } from './grants.js'
import type { Job, Outcome } from './job.js'
import type { Platform } from './platform.js'
import type { Signer } from './signer.js'
import { recorded } from './transfer.js'
import type { MultipartPlugin } from './types.js'
import type { UploadRecord } from './wire.js'

/** Small durable storage of the platform. */
export interface Store {
  get(key: string): string | null | undefined
  set(key: string, value: string): void
  remove(key: string): void
}

export interface MultipartOptions {
  /** Files from this size on are sent in parts. Default 20 MiB. */
  from?: number
}

/** What is kept on the device to go on with an upload after a restart; which parts have arrived, OSS knows. */
type Saved = Pick<components['schemas']['MultipartResponse'], 'id' | 'key' | 'partSize'>
type Links = components['schemas']['PartsResponse']

/** A mini-program calls every body JSON unless it is told otherwise, and OSS signs what it is called. */
const TYPE = 'application/octet-stream'

/** Links per request: enough for parallel workers, few enough not to expire unused. */
const AHEAD = 10

/** One large file: which parts have arrived, and the links to send the others to. */
class Parts {
  private todo_: number[] = []
  private readonly moved_: Record<number, number> = {}
  private links_: Links['parts'] = []
  private failed_: unknown

  constructor(
    private readonly platform_: Platform<any>,
    private readonly signer_: Signer,
    private readonly job_: Job,
    private readonly state_: Saved,
    private readonly sent_: (loaded: number) => void,
  ) {}

  /** Sends what is missing with one worker of its own and those that spare lends. */
  async send_(spare: (work: () => Promise<void>) => Promise<void>[]): Promise<void> {
    for (let n = 1; this.size_(n) > 0; n++) this.todo_.push(n)
    const arrived = (await this.ask_()).uploaded!
    this.todo_ = this.todo_.filter(n => arrived.indexOf(n) < 0)
    arrived.forEach(n => (this.moved_[n] = this.size_(n)))
    this.count_()
    const own = this.work_()
    await Promise.all([own].concat(this.todo_.length ? spare(() => this.work_()) : []))
    if (this.failed_) throw this.failed_
  }

  private async work_(): Promise<void> {
    for (let n: number | undefined; !this.failed_ && (n = this.todo_.shift()); ) {
      const part = n
      try {
        await this.signer_.again_(this.job_.scope_, () => this.put_(part), this.job_.state_.index)
      } catch (e) {
        this.failed_ = e
      }
    }
  }

  private async put_(n: number): Promise<void> {
    const { job_, platform_, signer_, moved_ } = this
    const mine = (links: Links['parts']) => links!.filter(link => link.partNumber == n)[0]
    // Looked up once: a neighbour that fails in the meantime takes all links away.
    const { url } = mine(this.links_) || mine((await this.ask_(n)).parts)
    const size = this.size_(n)
    const body = await platform_.read_(job_.file_.path, (n - 1) * this.state_.partSize, size)
    const moved = (bytes: number) => {
      moved_[n] = Math.min(bytes, size)
      this.count_()
    }
    const reply = await job_.scope_.run_(onStop => platform_.send_({
      method: 'PUT', url, headers_: { 'content-type': TYPE }, body_: body, patience_: signer_.patience_(size), onStop_: onStop, onSent_: moved,
    }))
    if (reply.status > 299) {
      moved(0)
      // Whatever was wrong, links that have failed are not used again.
      this.links_ = []
      const error = ossError(reply.status, reply.text)
      // Refused: once more with a new link; the signer says when the whole upload is gone.
      throw reply.status == 403 ? new UploadError('expired', error) : error
    }
    moved(size)
  }

  /** Gets links for a part and those after it, and which parts OSS has. */
  private async ask_(n?: number): Promise<Links> {
    const partNumbers = (n ? [n] : []).concat(this.todo_.slice(0, AHEAD))
    const answer = await this.signer_.call_<Links>(this.job_.scope_, 'POST', '/v1/multipart/' + this.state_.id + '/parts', { partNumbers, contentType: TYPE })
    this.links_ = this.links_!.concat(answer.parts!)
    return answer
  }

  private size_(n: number): number {
    return Math.min(this.state_.partSize, this.job_.info_!.size - (n - 1) * this.state_.partSize)
  }

  private count_(): void {
    this.sent_(Object.keys(this.moved_).reduce((sum, n) => sum + this.moved_[+n], 0))
  }
}

/** The option `multipart`: sends large files in parts; those that arrived survive pause, failure and restart. */
export const multipartWith = (store: Store, { from = 20 << 20 }: MultipartOptions = {}): MultipartPlugin => (platform, signer) => {
  // Set when the signer has no multipart uploads: then everything goes by form.
  let off = false

  const step = async (job: Job, sent: (loaded: number) => void, spare: (work: () => Promise<void>) => Promise<void>[]): Promise<Outcome> => {
    const { scope_, info_, hash_ } = job
    const slot = 'uploadtenant:' + (hash_ || info_!.mark_)
    let state: Saved
    try {
      state = JSON.parse(store.get(slot) || '')
    } catch (e) {
      const { id, key, partSize } = await signer.call_<Saved>(scope_, 'POST', '/v1/multipart', wireFile(job))
      state = { id, key, partSize }
      store.set(slot, JSON.stringify(state))
    }
    job.state_.attempts++
    try {
      await new Parts(platform, signer, job, state, sent).send_(spare)
      const record = await signer.call_<UploadRecord>(scope_, 'POST', '/v1/multipart/' + state.id + '/complete')
      store.remove(slot)
      return recorded(record, state)
    } catch (e: any) {
      const { status, problem } = e
      // A part that OSS took is not on its list: the next attempt looks again.
      if (problem && problem.code == 'parts_missing') throw new UploadError('server', e)
      // Unknown upload, refused or too old: the next attempt begins anew.
      if (status > 399 && status < 500 && status != 401 && status != 429) store.remove(slot)
      throw status == 404 || status == 410 ? new UploadError('expired', e) : e
    }
  }

  return {
    wants_: job => !off && job.info_!.size >= from,
    run_: (job, sent, spare, form) => signer.again_(job.scope_, () => step(job, sent, spare), job.state_.index).catch(e => {
      // A signer without multipart uploads does not know the path; nothing was sent, so the form can take over.
      if (e.status != 404 && e.status != 405 && e.status != 501 || job.state_.attempts) throw e
      off = true
      return form()
    }),
  }
}
