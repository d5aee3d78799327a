// Serves PGlite, which is PostgreSQL 17 with the community edition of
// TimescaleDB compiled to WebAssembly, to ordinary clients on a loopback port,
// so that the tests meet that edition on a machine that cannot install it.
//
//   node adapter.mjs                 serve, and print the URL
//   node adapter.mjs -- go test ...  serve to one command: it finds the URL in
//                                    TELEMETRYD_TEST_DATABASE_URL
//
// What a client sees differs from a real server in this:
//   - A database has one backend for all its connections. A connection keeps
//     it for the length of a transaction, the others wait. There are no
//     background workers.
//   - Each database is a PGlite of its own; CREATE DATABASE x TEMPLATE y loads
//     a copy of y. pg_database does not know about it.
//   - There is no authentication.

import { spawn } from 'node:child_process'
import net from 'node:net'
import { snapshot, start } from './cluster.mjs'
import { Reader, copyInResponse, errorResponse, message, parameterStatus, commandComplete, readyForQuery, frames } from './wire.mjs'

const owner = 'postgres' // the role that PGlite comes with
const buffer = 8192 // bytes that PGlite takes in at once
const patience = 60_000 // ms that a connection waits for another's transaction

// A database: one PGlite, and the turn that connections take on it.
class Database {
  #pg
  #turn = Promise.resolve()
  #last = null // the connection that used the backend last
  #files = null // of a template, which nobody changes

  constructor(pg) {
    this.#pg = pg
    this.isTemplate = false
  }

  static async load(files) {
    const pg = await start(files)
    const { rows } = await pg.query("SELECT FROM pg_extension WHERE extname = 'timescaledb'")
    if (rows.length > 0) await pg.exec("LOAD '$libdir/timescaledb'") // nothing is preloaded here
    return new Database(pg)
  }

  // acquire waits until the backend is free and gives the function to free it.
  async acquire() {
    let release
    const mine = new Promise((resolve) => { release = resolve })
    const before = this.#turn
    this.#turn = before.then(() => mine)
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Refusal('55P03', 'the only backend is in the transaction of another connection')), patience)
    })
    try {
      await Promise.race([before, late])
    } catch (err) {
      release()
      throw err
    } finally {
      clearTimeout(timer)
    }
    return release
  }

  // run hands a whole pipeline over and gives the answer's bytes.
  async run(connection, bytes) {
    if (this.#last !== connection) {
      await this.#enter(connection)
    }
    return Buffer.from(await this.#pg.execProtocolRaw(bytes, { throwOnError: false }))
  }

  // enter gives the session of a connection to the backend.
  async #enter(connection) {
    this.#last = null
    const settings = Object.entries({ ...await this.#settingsOf(connection.user), ...connection.settings })
      .map(([name, value]) => `SELECT set_config(${quoteText(name)}, ${quoteText(value)}, false);`)
    const role = connection.user === owner ? 'DEFAULT' : quoteName(connection.user)
    const answer = Buffer.from(await this.#pg.execProtocolRaw(message('Q',
      `SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; SET SESSION AUTHORIZATION ${role}; ${settings.join(' ')}\0`,
    ), { throwOnError: false }))
    for (const frame of frames(answer)) {
      if (frame.type === 'E') throw new Refusal('28000', `the session of ${connection.user} cannot begin: ${frame.body.toString().split('\0').join(' ')}`)
    }
    this.#last = connection
  }

  // settingsOf gives what ALTER ROLE ... SET says, as a log-in would apply it.
  async #settingsOf(user) {
    if (user === owner) return {}
    const { rows } = await this.#pg.query(`
      SELECT unnest(s.setconfig) AS setting FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
      WHERE r.rolname = $1`, [user])
    return Object.fromEntries(rows.map(({ setting }) => {
      const at = setting.indexOf('=')
      return [setting.slice(0, at), setting.slice(at + 1)]
    }))
  }

  async files() {
    if (this.#files) return this.#files
    await this.#pg.exec('CHECKPOINT') // or each copy would replay what was logged since the last one
    const files = snapshot(this.#pg)
    if (this.isTemplate) this.#files = files
    return files
  }

  async close() {
    await this.#pg.close().catch(() => {}) // it may have crashed
  }
}

// Refusal is an error that the client gets to see.
class Refusal extends Error {
  constructor(code, text) {
    super(text)
    this.code = code
  }
}

const quoteName = (name) => name.split('.').map((part) => `"${part.replaceAll('"', '""')}"`).join('.')
const quoteText = (text) => `'${text.replaceAll("'", "''")}'`

// The server's databases by name.
class Server {
  #databases = new Map()
  #pristine // the files of an empty database

  async prepare() {
    const empty = await Database.load(undefined)
    this.#pristine = await empty.files()
    this.#databases.set('postgres', empty)
  }

  database(name) {
    const found = this.#databases.get(name)
    if (!found) throw new Refusal('3D000', `database "${name}" does not exist`)
    return found
  }

  // statement carries out CREATE, ALTER and DROP DATABASE, which concern the
  // whole server. It gives the command's tag, or null for all other SQL.
  async statement(sql) {
    let match
    if ((match = /^\s*create\s+database\s+"?(\w+)"?(?:\s+(?:with\s+)?template\s*=?\s*"?(\w+)"?)?\s*;?\s*$/i.exec(sql))) {
      const [, name, template = 'template1'] = match
      if (this.#databases.get(name)?.isTemplate) throw new Refusal('42P04', `database "${name}" already exists`)
      await this.#drop(name) // what an interrupted run left unfinished
      const source = /^template[01]$/.test(template) ? this.#pristine : await this.database(template).files()
      this.#databases.set(name, await Database.load(source))
      return 'CREATE DATABASE'
    }
    if ((match = /^\s*drop\s+database\s+(if\s+exists\s+)?"?(\w+)"?/i.exec(sql))) {
      if (!match[1]) this.database(match[2])
      await this.#drop(match[2])
      return 'DROP DATABASE'
    }
    if ((match = /^\s*alter\s+database\s+"?(\w+)"?.*\bis_template\s+true/i.exec(sql))) {
      this.database(match[1]).isTemplate = true
      return 'ALTER DATABASE'
    }
    return null
  }

  async #drop(name) {
    const database = this.#databases.get(name)
    this.#databases.delete(name)
    await database?.close()
  }
}

// One client. Its messages are collected until a whole pipeline is there, and
// answered one pipeline after the other.
class Connection {
  #server
  #socket
  #database
  #release = null // frees the backend; null while we do not hold it
  #pipeline = []
  #copying = null // the COPY whose data we collect
  user = owner
  settings = {}

  constructor(server, socket) {
    this.#server = server
    this.#socket = socket
  }

  async serve() {
    this.#socket.setNoDelay(true)
    try {
      const reader = new Reader(this.#socket)
      if (!(await this.#greet(reader))) return
      for await (const frame of reader.frames()) {
        if (frame.type === 'X') break
        await this.#take(frame)
      }
    } catch (err) {
      if (!['ECONNRESET', 'EPIPE'].includes(err.code)) {
        this.#send(errorResponse('FATAL', err instanceof Refusal ? err.code : 'XX000', err.message))
        if (!(err instanceof Refusal)) console.error(err)
      }
    } finally {
      await this.#leave()
      this.#socket.end()
    }
  }

  async #greet(reader) {
    for (;;) {
      const body = await reader.startup()
      if (!body) return false
      const code = body.readInt32BE(0)
      if (code === 80877103 || code === 80877104) { // encryption: not here
        this.#send(Buffer.from('N'))
        continue
      }
      if (code !== 196608) return false // a request to cancel, or not our protocol
      const words = body.subarray(4).toString().split('\0')
      const given = {}
      for (let i = 0; i + 1 < words.length && words[i]; i += 2) given[words[i]] = words[i + 1]
      const { user, database, options, ...settings } = given
      for (const name of Object.keys(settings)) if (name.startsWith('pool_')) delete settings[name]
      this.user = user
      this.settings = settings
      this.#database = this.#server.database(database ?? user)
      break
    }
    await this.#hold()
    await this.#database.run(this, message('Q', ';\0')) // the session can begin
    this.#free()
    this.#send(Buffer.concat([
      message('R', Buffer.alloc(4)),
      ...Object.entries({
        server_version: '17.5', server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO, MDY',
        integer_datetimes: 'on', standard_conforming_strings: 'on', TimeZone: 'UTC',
        'telemetryd.single_backend': 'on',
      }).map(([name, value]) => parameterStatus(name, value)),
      message('K', Buffer.alloc(8)),
      readyForQuery('I'),
    ]))
    return true
  }

  async #take(frame) {
    if (this.#copying) return this.#takeCopy(frame)
    if (frame.type === 'Q') {
      const sql = frame.body.toString('utf8', 0, frame.body.length - 1)
      if (/^\s*copy\b[^]*\bfrom\s+stdin\b/i.test(sql)) {
        // PGlite wants the data in the same buffer as the command, and the
        // client wants to be asked for it first.
        this.#copying = [frame.bytes]
        this.#send(copyInResponse())
        return
      }
      if (/^\s*(create|alter|drop)\s+database\b/i.test(sql)) return this.#command(sql)
      return this.#run([frame.bytes])
    }
    this.#pipeline.push(frame.bytes)
    if (frame.type === 'S' || frame.type === 'H') {
      const pipeline = this.#pipeline, whole = Buffer.concat(pipeline)
      this.#pipeline = []
      // Where a message ends with the buffer, PGlite leaves those behind it unread. Each
      // comes by itself then: of one that is alone, all is read.
      await this.#run(whole.length > buffer ? pipeline : [whole])
    }
  }

  async #takeCopy(frame) {
    if (frame.type === 'S' || frame.type === 'H') return // means nothing during COPY
    this.#copying.push(frame.bytes)
    if (frame.type !== 'c' && frame.type !== 'f') return
    const pipeline = this.#copying
    this.#copying = null
    await this.#run([Buffer.concat(pipeline)], (answer) => answer.type !== 'G')
  }

  async #command(sql) {
    try {
      this.#send(Buffer.concat([commandComplete(await this.#server.statement(sql) ?? 'SELECT'), readyForQuery('I')]))
    } catch (err) {
      this.#send(Buffer.concat([errorResponse('ERROR', err.code ?? 'XX000', err.message), readyForQuery('I')]))
    }
  }

  async #run(parts, keep = () => true) {
    await this.#hold()
    const answers = []
    for (const part of parts) answers.push(...frames(await this.#database.run(this, part)).filter(keep))
    const ready = answers.findLast((answer) => answer.type === 'Z')
    if (ready && ready.body.toString() === 'I') this.#free()
    this.#send(Buffer.concat(answers.map((answer) => answer.bytes)))
  }

  async #hold() {
    this.#release ??= await this.#database.acquire()
  }

  #free() {
    this.#release?.()
    this.#release = null
  }

  async #leave() {
    if (!this.#release) return
    await this.#database.run(this, message('Q', 'ROLLBACK\0')).catch(() => {})
    this.#free()
  }

  #send(bytes) {
    if (this.#socket.writable) this.#socket.write(bytes)
  }
}

const server = new Server()
await server.prepare()
const listener = net.createServer((socket) => {
  socket.on('error', () => {}) // seen by the reader as the end
  void new Connection(server, socket).serve()
})
await new Promise((resolve) => listener.listen(Number(process.env.PORT ?? 0), '127.0.0.1', resolve))

// Unnamed statements only: the backend is shared, and names would clash.
const url = `postgres://${owner}@127.0.0.1:${listener.address().port}/postgres?sslmode=disable&pool_max_conns=1&default_query_exec_mode=cache_describe`
const split = process.argv.indexOf('--')
if (split < 0) {
  console.log(url)
} else {
  const [program, ...args] = process.argv.slice(split + 1)
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, TELEMETRYD_TEST_DATABASE_URL: url } })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('error', (err) => { console.error(err.message); process.exit(127) })
  child.on('exit', (code) => process.exit(code ?? 1))
}
