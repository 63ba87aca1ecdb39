import { UploadError } from './errors.js'
import type { OnStop } from './platform.js'

/** What runs for one file, so that all of it can be stopped at once and at any step. */
export interface Scope {
  /** Why the work was stopped. */
  stopped_?: UploadError
  stop_(): void
  /** Runs a stoppable step; rejects as soon as the scope is stopped, whatever the step does then. */
  run_<T>(start: (onStop: OnStop) => Promise<T> | T): Promise<T>
}

export const newScope = (): Scope => {
  const stops = new Set<() => void>()
  const scope: Scope = {
    stop_() {
      scope.stopped_ = new UploadError('aborted')
      stops.forEach(stop => stop())
    },
    run_: start => new Promise((resolve, reject) => {
      const stop = () => reject(scope.stopped_)
      if (scope.stopped_) return stop()
      const mine = [stop]
      stops.add(stop)
      const end = () => mine.forEach(one => stops.delete(one))
      Promise.resolve(start(one => {
        mine.push(one)
        stops.add(one)
      })).then(resolve, reject).then(end)
    }),
  }
  return scope
}
