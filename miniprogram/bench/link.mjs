// A slow link in front of real servers: every byte of every connection shares one uplink and one downlink.
import net from 'node:net'

/** One direction: bytes leave one after another at a rate and arrive after a delay. */
function direction(bytesPerSecond, delayMs) {
  let free = 0
  return (bytes, deliver) => {
    const now = performance.now()
    free = Math.max(free, now) + (bytes / bytesPerSecond) * 1000
    setTimeout(deliver, free - now + delayMs)
  }
}

/**
 * Opens ports on loopback that lead to servers over one link. Opening a connection costs a round trip, as does
 * every exchange on it; an idle connection may be used again.
 */
export async function openLink({ rttMs, upKbit, downKbit }) {
  const up = direction((upKbit * 1000) / 8, rttMs / 2)
  const down = direction((downKbit * 1000) / 8, rttMs / 2)
  const servers = []
  const sockets = new Set()

  // In pieces of a packet, so that parallel connections share the link instead of queueing behind each other.
  const pump = (from, to, way) => {
    from.on('data', data => {
      from.pause()
      let left = 0
      for (let at = 0; at < data.length; at += 1460) {
        const piece = data.subarray(at, at + 1460)
        left++
        way(piece.length + 40, () => {
          to.write(piece)
          // A sender has only so much on the way.
          if (--left === 0) from.resume()
        })
      }
    })
    from.on('end', () => way(40, () => to.end()))
    from.on('error', () => to.destroy())
  }

  return {
    async to(target) {
      const { hostname, port } = new URL(target)
      const server = net.createServer({ pauseOnConnect: true }, near => {
        // SYN and its answer.
        up(40, () => down(40, () => {
          const far = net.connect(port, hostname)
          sockets.add(near).add(far)
          pump(near, far, up)
          pump(far, near, down)
          near.resume()
        }))
      })
      await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
      servers.push(server)
      return `http://127.0.0.1:${server.address().port}`
    },
    close() {
      sockets.forEach(s => s.destroy())
      servers.forEach(s => s.close())
    },
  }
}
