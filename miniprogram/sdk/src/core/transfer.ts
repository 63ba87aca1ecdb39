import { ossError, passing, problemError, UploadError } from './errors.js'
import type { Grants } from './grants.js'
import type { Job, Outcome } from './job.js'
import type { HttpReply, Platform } from './platform.js'
import { prove } from './proof.js'
import type { Signer } from './signer.js'
import type { Grant, UploadRecord } from './wire.js'

/** Tries to bring one file into the bucket by PostObject until it is stored, refused, or attempts are used up. */
export type Transfer = (job: Job, jobs: Job[], sent: (loaded: number) => void) => Promise<Outcome>

/** What a recorded upload looks like to the application. */
export const recorded = ({ id, key, etag }: Partial<UploadRecord>, grant: { id: string; key: string }): Outcome => ({
  status: 'uploaded', id: id || grant.id, key: key || grant.key, etag, confirmed: !!id,
})

export const newTransfer = (platform: Platform<any>, signer: Signer, grants: Grants): Transfer => {
  /** Has the signer record what is stored; undefined when nothing is there and nothing was certain. */
  const confirm = async (job: Job, grant: Pick<Grant, 'ticket' | 'id' | 'key'>, stored?: boolean) => {
    const { scope_, state_ } = job
    signer.emit_('confirm', state_.index)
    try {
      return recorded(await signer.again_(scope_, () =>
        signer.call_<UploadRecord>(scope_, 'POST', '/v1/uploads/complete', { ticket: grant.ticket }).catch(e => {
          throw stored && e.status == 404 ? new UploadError('server', { status: 404 }) : e
        })), grant)
    } catch (e) {
      const { status } = e as UploadError
      // The sweeper records what is stored, even when nobody can be told now.
      if (stored && !scope_.stopped_ && (status == 410 || passing(e as UploadError))) return recorded({}, grant)
      if (status != 404 && status != 410) throw e
    }
  }

  /** Asks whether an attempt without an answer has stored the file. */
  const settleDoubt = async (job: Job) => {
    const ticket = job.doubt_
    const done = ticket && (await confirm(job, { ticket, id: '', key: '' }))
    job.doubt_ = undefined
    return done || undefined
  }

  const judge = async (job: Job, grant: Grant, reply: HttpReply): Promise<Outcome> => {
    const { status, text } = reply
    // 203 is a success that OSS could not report to the signer: stored, not recorded.
    if (status < 300) {
      let record
      try {
        record = JSON.parse(text)
      } catch (e) {
        // Without a callback OSS answers with nothing, and with XML when it failed.
      }
      return record && record.id == grant.id ? recorded(record, grant) : (await confirm(job, grant, true))!
    }
    // The key is this upload's own and must not exist before: an earlier attempt may have stored it after all.
    const taken = status == 409
    const done = taken && (await confirm(job, grant))
    if (done) return done
    const error = ossError(status, text)
    const { code, oss } = error
    if (status < 500) job.doubt_ = undefined
    if (code == 'expired' || ((taken || code == 'denied') && !job.resigned_)) {
      job.resigned_ = code != 'expired'
      job.verdict_ = undefined
      signer.emit_('resign', job.state_.index, undefined, error)
      throw new UploadError('expired', { status, oss })
    }
    throw error
  }

  const step: Transfer = async (job, jobs, sent) => {
    const { info_, file_, scope_, state_ } = job
    // A new grant means a new key: first make sure that the old one holds nothing, or there would be two.
    const done = !grants.fresh_(job) && (await settleDoubt(job))
    if (done) return done
    let verdict = await grants.get_(job, jobs)
    if (verdict.status == 'challenge') {
      const { id } = verdict
      // A challenge is good for one answer; should this fail, the next attempt asks anew.
      job.verdict_ = undefined
      const digest = await prove(platform, file_.path, verdict)
      const asked = Date.now()
      verdict = grants.keep_(job, await signer.call_(scope_, 'POST', '/v1/uploads/prove', { id, digest }), asked)
    }
    if (verdict.status == 'rejected') {
      job.verdict_ = undefined
      throw problemError(verdict.error, verdict.error.status || 422)
    }
    if (verdict.status == 'instant') return { status: 'instant', id: verdict.id, key: verdict.key, confirmed: true }

    const grant = verdict as Grant
    const { size, name } = info_!
    const began = Date.now()
    state_.attempts++
    job.doubt_ = grant.ticket
    const reply = await scope_.run_(onStop => platform.post_({
      url: grant.url,
      fields: grant.fields,
      fileField: grant.fileField,
      file_: file_.path,
      name,
      patience_: signer.patience_(size),
      onStop_: onStop,
      // The form around the file counts as well, so only the share is of use.
      onSent_: (loaded, total) => sent(total ? Math.min(size, Math.round((size * loaded) / total)) : 0),
    }))
    grants.took_(size, Date.now() - began)
    return judge(job, grant, reply)
  }

  return (job, jobs, sent) => signer.again_(job.scope_, () => step(job, jobs, sent).catch(e => {
    sent(0)
    throw e
  }), job.state_.index).catch(async e => {
    // The last attempt may have arrived although its answer did not.
    const done = !job.scope_.stopped_ && (await settleDoubt(job).catch(() => {}))
    if (done) return done
    throw e
  })
}
