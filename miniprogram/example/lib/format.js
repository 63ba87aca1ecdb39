/** Bytes for people: 532 KB, 1.2 MB. */
function bytes(n) {
  if (n < 1024) return n + ' B'
  if (n < 1024 * 1024) return Math.round(n / 1024) + ' KB'
  return (n / 1024 / 1024).toFixed(1) + ' MB'
}

/** The order after the item at one place has been moved to another. */
function move(order, from, to) {
  const out = order.slice()
  out.splice(to, 0, out.splice(from, 1)[0])
  return out
}

module.exports = { bytes, move }
