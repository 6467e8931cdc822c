#!/usr/bin/env node
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { HELD_OUT_FROM, LATE_MINUTES, featuresOf, lineOf, partsOf, textHash } from './rows.mjs'

const HELP = `Three million flights within the USA, January to June 2001, as a classification data set in libsvm format.

A row's label is 1 where the flight was more than ${LATE_MINUTES} minutes late. Its 15 features, one-hot and crosses of origin, destination, hour, weekday,
5-minute slot and distance, are hashed to 2^20. Flights from 13 June on are held out, so what is predicted lies after what was learnt from.

  node examples/data/flights/flights.mjs --out build/data/flights      writes train.libsvm, test.libsvm

  --out DIR       where to write; made if missing
  --source FILE   the flights (default: flights-3m.parquet of the npm package vega-datasets, which the first call installs beside this file)

Needs Node.js and npm (apt-get install nodejs npm). Exit status: 0 written or already there, 2 bad usage, 3 the flights are missing or not as expected,
8 cannot write.`

const HERE = path.dirname(fileURLToPath(import.meta.url))
const ORIGIN = 'vega-datasets 3.2.1'
// Of that version's flights-3m.parquet; another one that has other rows gives other sums, and a warning.
const EXPECTED = {
  'train.libsvm': '396c37aa4f3049535425b092b224c9d53434754b30773250be4a99c50cfcad6b',
  'test.libsvm': '4a691f4186030374f6c76bfdab36d6c90821e4b780116845c6f7b1ae9c973238',
}
const COLUMNS = ['date', 'delay', 'distance', 'origin', 'destination']

function stop(status, words) {
  console.error(`flights.mjs: error: ${words}`)
  process.exit(status)
}

function digest(file) {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(1 << 20)
  const handle = fs.openSync(file, 'r')
  for (let n; (n = fs.readSync(handle, buffer)) > 0;) hash.update(buffer.subarray(0, n))
  fs.closeSync(handle)
  return hash.digest('hex')
}

function alreadyThere(out) {
  try {
    return Object.entries(EXPECTED).every(([name, sum]) => digest(path.join(out, name)) === sum)
  } catch {
    return false
  }
}

// A file that is there whole, once done() was called, or not at all.
class WholeFile {
  constructor(file) {
    this.file = file
    this.temporary = `${file}.${process.pid}.part`
    this.handle = fs.openSync(this.temporary, 'w', 0o644)
    this.hash = createHash('sha256')
    this.lines = []
    this.rows = 0
  }
  add(line) {
    this.rows++
    if (this.lines.push(line) >= 8192) this.flush()
  }
  flush() {
    const bytes = Buffer.from(this.lines.join(''))
    this.lines.length = 0
    this.hash.update(bytes)
    for (let at = 0; at < bytes.length;) at += fs.writeSync(this.handle, bytes, at)
  }
  done() {
    this.flush()
    fs.fsyncSync(this.handle)
    fs.closeSync(this.handle)
    fs.renameSync(this.temporary, this.file)
    return this.hash.digest('hex')
  }
  drop() {
    fs.rmSync(this.temporary, { force: true })
  }
}

// The two packages that read Parquet files; the first call installs what package-lock.json names, beside this file.
async function readers() {
  if (!fs.existsSync(path.join(HERE, 'node_modules', 'hyparquet'))) {
    console.error('flights.mjs: installing the npm packages that package.json beside it names')
    const made = spawnSync('npm', ['ci', '--silent'], { cwd: HERE, stdio: ['ignore', 'inherit', 'inherit'] })
    if (made.error) stop(3, `npm cannot be started (${made.error.code}); install Node.js and npm: apt-get install nodejs npm`)
    if (made.status !== 0) stop(3, `npm ci failed in ${HERE}`)
  }
  const [parquet, { compressors }] = await Promise.all([import('hyparquet'), import('hyparquet-compressors')])
  return { ...parquet, compressors }
}

// Calls `take` with each row group's columns, in the file's order.
async function readGroups(source, take) {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetRead, compressors } = await readers()
  const file = await asyncBufferFromFile(source)
  const metadata = await parquetMetadataAsync(file)
  const names = metadata.schema.map(column => column.name)
  for (const name of COLUMNS) if (!names.includes(name)) throw new Error(`it has no column '${name}'`)
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    const columns = Object.fromEntries(COLUMNS.map(name => [name, new Array(rows)]))
    const onChunk = ({ columnName, columnData, rowStart: first }) => {
      for (let i = 0; i < columnData.length; i++) columns[columnName][first - rowStart + i] = columnData[i]
    }
    await parquetRead({ file, metadata, compressors, columns: COLUMNS, rowStart, rowEnd: rowStart + rows, onChunk })
    rowStart += rows
    take(columns, rows)
  }
}

async function convert(source, train, test) {
  const hashes = new Map()
  const hashOf = name => hashes.get(name) ?? (hashes.set(name, textHash(name)), hashes.get(name))
  const features = new Int32Array(15)
  let parts
  await readGroups(source, (columns, rows) => {
    for (let i = 0; i < rows; i++) {
      const { date, delay, distance, origin, destination } = Object.fromEntries(COLUMNS.map(name => [name, columns[name][i]]))
      if (!(date instanceof Date) || typeof origin !== 'string' || typeof destination !== 'string' || delay == null || distance == null) {
        throw new Error(`row ${train.rows + test.rows + 1} lacks a value`)
      }
      const time = date.getTime()
      parts = partsOf(time, Number(distance), hashOf(origin), hashOf(destination), parts)
      const side = time < HELD_OUT_FROM ? train : test
      side.add(lineOf(Number(delay) > LATE_MINUTES, featuresOf(parts, features)))
    }
  })
}

async function main() {
  let options
  try {
    options = parseArgs({ options: { out: { type: 'string' }, source: { type: 'string' }, help: { type: 'boolean', short: 'h' } } }).values
  } catch (wrong) {
    stop(2, wrong.message)
  }
  if (options.help) return console.log(HELP)
  if (!options.out) stop(2, '--out DIR is needed; --help says more')
  if (alreadyThere(options.out)) return console.log(`${options.out}: already there`)
  await readers()
  const source = options.source ?? path.join(HERE, 'node_modules', 'vega-datasets', 'data', 'flights-3m.parquet')
  if (!fs.existsSync(source)) stop(3, `${source} is missing`)
  const files = []
  try {
    fs.mkdirSync(options.out, { recursive: true })
    for (const name of Object.keys(EXPECTED)) files.push(new WholeFile(path.join(options.out, name)))
    await convert(source, ...files)
    for (const file of files) {
      const sum = file.done()
      console.log(`${sum}  ${file.file}`)
      if (sum !== EXPECTED[path.basename(file.file)]) {
        console.error(`flights.mjs: warning: ${file.file} differs from the one of ${ORIGIN} that the figures in docs/ are of`)
      }
    }
    console.log(`${files[0].rows} rows to train on, ${files[1].rows} held out`)
  } catch (wrong) {
    for (const file of files) file.drop()
    if (wrong.syscall) stop(8, `${wrong.path ?? options.out}: ${wrong.message}`)
    stop(3, `${source}: not the flights that ${ORIGIN} has: ${wrong.message}`)
  }
}

await main()
