/** Speed of a batch over the last few seconds. */
export class Meter {
  private readonly last_: number[] = []
  private marks_: [time: number, bytes: number][] = []
  private bytes_ = 0

  /** Notes that a file now has so many bytes; a file that starts over takes nothing back. */
  add_(index: number, loaded: number): void {
    const more = loaded - (this.last_[index] || 0)
    this.last_[index] = loaded
    if (more > 0) this.bytes_ += more
    const now = Date.now()
    const { marks_ } = this
    if (!marks_.length || now - marks_[marks_.length - 1][0] > 200) marks_.push([now, this.bytes_])
    // Long enough to smooth over files, short enough to notice a tunnel.
    while (marks_.length > 2 && now - marks_[1][0] > 5000) marks_.shift()
  }

  /** Bytes per second. */
  speed_(): number {
    const first = this.marks_[0]
    const ms = first ? Date.now() - first[0] : 0
    return ms ? Math.round(((this.bytes_ - first[1]) * 1000) / ms) : 0
  }
}
