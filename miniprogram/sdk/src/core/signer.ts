import { passing, problemError, UploadError } from './errors.js'
import type { Platform } from './platform.js'
import type { Scope } from './scope.js'
import type { UploaderOptions, UploadEvent } from './types.js'

/** HTTP with the signer: token, retries and problem documents. */
export interface Signer {
  emit_(type: UploadEvent['type'], index?: number, value?: UploadEvent['value'], error?: UploadError): void
  /** One call; a refused token is renewed once, failures that may pass are tried again. */
  call_<T>(scope: Scope, method: string, path: string, body?: unknown): Promise<T>
  /** Repeats a step with full jitter, the n-th wait up to base * 2^n, and waits for a network first. */
  again_<T>(scope: Scope, step: () => Promise<T>, index?: number): Promise<T>
  /** Patience for sending so many bytes: 16 KiB/s is a poor mobile link, slower is taken for a dead one. */
  patience_(bytes: number): number
}

/** Calls back to the application; its mistakes must not stop an upload, yet it should hear of them. */
export const tell = <A extends unknown[]>(callback: ((...args: A) => void) | undefined, ...args: A): void => {
  try {
    callback && callback(...args)
  } catch (e) {
    setTimeout(() => {
      throw e
    })
  }
}

export const newSigner = (platform: Platform<any>, options: UploaderOptions<any>): Signer => {
  const { endpoint, getToken, onEvent, timeoutMs = 60000 } = options
  const { attempts = 4, baseMs = 500, capMs = 15000 } = options.retry || {}
  let token: Promise<string> | undefined

  const renew = (refresh: boolean) => token = (async () => {
    try {
      return await getToken!(refresh)
    } catch (e: any) {
      token = undefined
      throw e.code ? e : new UploadError('auth', { detail: String(e) })
    }
  })()

  const signer: Signer = {
    emit_: (type, index, value, error) => tell(onEvent, { type, index, value, error }),

    patience_: bytes => timeoutMs + bytes / 16,

    call_: (scope, method, path, body) => signer.again_(scope, async () => {
      const send = async (bearer?: Promise<string>) => {
        const headers: Record<string, string> = { 'content-type': 'application/json' }
        if (bearer) headers.authorization = 'Bearer ' + (await bearer)
        return scope.run_(onStop => platform.send_({
          method,
          url: endpoint + path,
          headers_: headers,
          body_: body && JSON.stringify(body) as any,
          patience_: timeoutMs,
          onStop_: onStop,
        }))
      }
      const used = getToken && (token || renew(false))
      let reply = await send(used)
      if (reply.status == 401 && getToken) {
        // Whoever comes first renews it for all: ten refused calls ask for one new token.
        reply = await send(token && token != used ? token : renew(true))
      }
      const { status } = reply
      let parsed: any = {}
      try {
        parsed = JSON.parse(reply.text || '{}')
      } catch (e) {
        // Something else than the signer answered, for example a captive portal.
        if (status < 300) throw new UploadError('server', { status })
      }
      if (status > 299) throw problemError(parsed, status, +reply.header_('retry-after')!)
      return parsed
    }),

    again_: async (scope, step, index) => {
      for (let n = 1; ; n++) {
        try {
          return await step()
        } catch (e) {
          const error = e as UploadError
          if (scope.stopped_ || !passing(error) || error.spent_) throw e
          let away
          if (!error.status) {
            await scope.run_(() => platform.online_(() => {
              away = true
              signer.emit_('offline', index)
            }))
          }
          if (away) {
            // Being without a network is not held against the file.
            n = 0
          } else if (n >= attempts) {
            error.spent_ = true
            throw e
          }
          const ms = Math.max(Math.random() * Math.min(capMs, baseMs * 2 ** n), (error.retryAfter || 0) * 1000)
          signer.emit_('retry', index, ms, error)
          await scope.run_(onStop => new Promise(resolve => {
            const timer = setTimeout(resolve, ms)
            onStop(() => clearTimeout(timer))
          }))
        }
      }
    },
  }
  return signer
}
