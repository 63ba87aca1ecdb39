import type { components } from '../api.gen.js'

// The signer's HTTP contract as this client uses it, on top of the types that are generated from its OpenAPI document.

type Schemas = components['schemas']
type Given<K extends keyof Schemas['Verdict']> = Required<Pick<Schemas['Verdict'], K>>

/** A recorded upload. */
export type UploadRecord = Schemas['Record']

export type WireFile = Schemas['FileRequest']

/** expiresIn is in seconds. */
export type Grant = { status: 'upload' } & Given<'id' | 'key' | 'url' | 'fields' | 'fileField' | 'ticket' | 'expiresIn'>

export type Challenge = { status: 'challenge' } & Given<'id' | 'nonce'> & { ranges: NonNullable<Schemas['Verdict']['ranges']> }

export type Verdict =
  | Grant
  | Challenge
  | ({ status: 'instant' } & Given<'id' | 'key'>)
  | ({ status: 'rejected' } & Given<'error'>)
