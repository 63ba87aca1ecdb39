import http from 'node:http'

/** Serves texts by path on a free port of loopback, or on a given one. */
export async function serve(pages, port = 0) {
  const server = http.createServer((req, res) => {
    const page = pages[req.url.split('?')[0]]
    res.writeHead(page ? 200 : 404, { 'content-type': (page && page.type) || 'text/html; charset=utf-8', 'cache-control': 'no-store' })
    res.end(page ? page.body || page : '')
  })
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise(resolve => {
      server.closeAllConnections()
      server.close(resolve)
    }),
  }
}
