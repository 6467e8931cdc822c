// What a flight becomes: a label and fifteen hashed features. Pure functions of the columns; flights.mjs reads and writes, rows_test.mjs tests.

export const BITS = 20
export const FEATURES = 1 << BITS
export const LATE_MINUTES = 15 // a flight is late, label 1, if its delay is more than this
export const HELD_OUT_FROM = Date.UTC(2001, 5, 13) // flights from this day on are held out

const DAY_MS = 86400000

// 32 bits of a text: FNV-1a (Fowler, Noll, Vo) over its UTF-16 units.
export function textHash(text) {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

// Takes one more number into a hash: a round and the end of MurmurHash3 (Appleby).
function mix(hash, number) {
  let k = Math.imul(number, 0xcc9e2d51)
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593)
  hash ^= k
  hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

// The features by name; each is a cross of what it lists (`5-minute slot` is one by itself).
export const FIELDS = [
  ['origin'], ['destination'], ['origin', 'destination'], ['hour'], ['weekday'],
  ['origin', 'hour'], ['destination', 'hour'], ['weekday', 'hour'], ['hundreds'], ['origin', 'destination', 'hour'],
  ['slot'], ['origin', 'weekday'], ['destination', 'weekday'], ['origin', 'destination', 'weekday'], ['origin', 'weekday', 'hour'],
]
const PARTS = ['origin', 'destination', 'hour', 'weekday', 'hundreds', 'slot']
const SEEDS = FIELDS.map(field => textHash(field.join('*')))
const POSITIONS = FIELDS.map(field => field.map(part => PARTS.indexOf(part)))

// The parts of a flight that features are made of. time: milliseconds since 1970, as the schedule's clock shows; distance: miles.
export function partsOf(time, distance, originHash, destinationHash, into = new Int32Array(PARTS.length)) {
  const day = Math.floor(time / DAY_MS)
  const minute = Math.floor((time - day * DAY_MS) / 60000)
  into[0] = originHash
  into[1] = destinationHash
  into[2] = Math.floor(minute / 60)
  into[3] = (day + 3) % 7 // 0 is Monday
  into[4] = Math.floor(distance / 100)
  into[5] = Math.floor(minute / 5)
  return into
}

// Writes the features' numbers, 1 … FEATURES, ascending, into `into`; equal ones stay beside each other.
export function featuresOf(parts, into = new Int32Array(FIELDS.length)) {
  for (let f = 0; f < FIELDS.length; f++) {
    let hash = SEEDS[f]
    for (const position of POSITIONS[f]) hash = mix(hash, parts[position])
    into[f] = ((hash >>> 0) % FEATURES) + 1
  }
  return into.sort()
}

// A row of libsvm text. Features that fall together in the hash count as many as they are.
export function lineOf(late, features) {
  let line = late ? '1' : '0'
  for (let f = 0; f < features.length;) {
    let end = f + 1
    while (end < features.length && features[end] === features[f]) end++
    line += ` ${features[f]}:${end - f}`
    f = end
  }
  return line + '\n'
}
