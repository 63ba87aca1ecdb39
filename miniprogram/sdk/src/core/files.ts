/** Lower-case extension of a name or path without the dot, or nothing. */
export const extension = (path: string): string => (/\.(\w{1,8})(?:[?#]|$)/.exec(path) || '')[1] || ''

let made = 0

/** A name for a file that has none: when it was picked, and a number, as many are picked in one second. */
export const madeUpName = (ext: string): string =>
  new Date().toISOString().slice(0, 19).replace(/\W/g, '').replace('T', '_') + '_' + ++made + (ext && '.' + ext.toLowerCase())
