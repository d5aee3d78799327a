// The little of PostgreSQL's message format that the adapter needs.

// message makes a message of a type and a body.
export function message(type, body) {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

export const parameterStatus = (name, value) => message('S', `${name}\0${value}\0`)
export const commandComplete = (tag) => message('C', `${tag}\0`)
export const readyForQuery = (status) => message('Z', status)
export const copyInResponse = () => message('G', Buffer.alloc(3))
export const errorResponse = (severity, code, text) => message('E', `S${severity}\0V${severity}\0C${code}\0M${text}\0\0`)

// frames splits an answer into its messages.
export function frames(bytes) {
  const out = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    out.push(frame(bytes.subarray(at, end)))
    at = end
  }
  return out
}

const frame = (bytes) => ({ type: String.fromCharCode(bytes[0]), body: bytes.subarray(5), bytes })

// Reader puts the messages of a socket together, however it was cut.
export class Reader {
  #chunks
  #kept = []
  #size = 0

  constructor(socket) {
    this.#chunks = socket[Symbol.asyncIterator]()
  }

  // startup gives the body of a message that has no type, or null at the end.
  async startup() {
    if (!(await this.#fill(4))) return null
    const length = this.#peek(4).readInt32BE(0)
    if (length < 8 || length > 10_000 || !(await this.#fill(length))) return null
    return this.#cut(length).subarray(4)
  }

  async *frames() {
    while (await this.#fill(5)) {
      const length = 1 + this.#peek(5).readInt32BE(1)
      if (!(await this.#fill(length))) return
      yield frame(this.#cut(length))
    }
  }

  async #fill(size) {
    while (this.#size < size) {
      const { value, done } = await this.#chunks.next()
      if (done) return false
      this.#kept.push(value)
      this.#size += value.length
    }
    return true
  }

  #peek(size) {
    if (this.#kept[0].length < size) this.#kept = [Buffer.concat(this.#kept)]
    return this.#kept[0]
  }

  #cut(size) {
    const whole = this.#peek(size)
    this.#size -= size
    if (whole.length === size) this.#kept.shift()
    else this.#kept[0] = whole.subarray(size)
    return whole.subarray(0, size)
  }
}
