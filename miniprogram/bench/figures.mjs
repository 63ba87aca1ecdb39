import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Limits of bench/limits.yaml: two levels, nothing more of YAML is needed. */
function limits() {
  const out = {}
  let name
  for (const line of readFileSync(root + 'bench/limits.yaml', 'utf8').split('\n')) {
    const top = /^(\w+):\s*$/.exec(line)
    const pair = /^ {2}(\w+): (.*)$/.exec(line)
    if (top) out[(name = top[1])] = {}
    else if (pair) out[name][pair[1]] = pair[2]
  }
  return out
}

/** Prints figures in the form of all benchmarks of this repository and keeps them in bench/out. */
export function reporter(suite) {
  const all = limits()
  const file = `${root}bench/out/${suite}.jsonl`
  mkdirSync(root + 'bench/out', { recursive: true })
  writeFileSync(file, '')
  let over = 0
  return {
    figure(name, value, unit, floor) {
      const limit = all[name]
      if (!limit) throw new Error(`bench/limits.yaml has no ${name}`)
      const ratio = value / floor
      const judged = limit.of === 'ratio' ? ratio : value
      const ok = 'atMost' in limit ? judged <= +limit.atMost : judged >= +limit.atLeast
      if (!ok) over++
      const round = n => (n >= 1000 ? Math.round(n) : +n.toPrecision(3))
      const bound = +(limit.atMost || limit.atLeast)
      console.log(`figure ${name} ${round(value)} ${unit} floor=${round(floor)} ratio=${round(ratio)} limit=${bound} ${ok ? 'ok' : 'over'}`)
      appendFileSync(file, JSON.stringify({ name, value, unit, floor, ratio, limit: bound, ok }) + '\n')
    },
    end() {
      if (over) process.exitCode = 1
    },
  }
}
