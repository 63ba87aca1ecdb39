import type { Platform } from './platform.js'
import type { Challenge } from './wire.js'

/**
 * Proof that the caller holds the whole file: lower-case hex SHA-256 over the bytes of the nonce (ASCII)
 * followed by the bytes of each range in the order given. Empty on a platform without SHA-256: the signer
 * then answers with a plain grant.
 */
export const prove = async <S>(platform: Platform<S>, file: S, { nonce, ranges }: Challenge): Promise<string> => {
  const bytes = nonce.split('').map(c => c.charCodeAt(0))
  for (const { offset, length } of ranges) new Uint8Array(await platform.read_(file, offset, length)).forEach(b => bytes.push(b))
  return platform.sha256_(Uint8Array.from(bytes)).catch(() => '')
}
