import assert from 'node:assert'
import { test } from 'node:test'
import { FEATURES, FIELDS, HELD_OUT_FROM, featuresOf, lineOf, partsOf, textHash } from './rows.mjs'

const flight = (time, distance, origin, destination) => featuresOf(partsOf(Date.parse(time), distance, textHash(origin), textHash(destination)))
const shared = (a, b) => [...a].filter(feature => b.includes(feature)).length

test('features are fifteen numbers from 1 to 2^20, ascending, the same for the same flight', () => {
  let seed = 1
  const random = most => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % most
  for (let i = 0; i < 2000; i++) {
    const time = new Date(Date.UTC(2001, 0, 1) + random(181 * 1440) * 60000).toISOString()
    const of = [time, random(5000), `A${random(200)}`, `B${random(200)}`]
    const features = flight(...of)
    assert.equal(features.length, FIELDS.length)
    for (let f = 0; f < features.length; f++) {
      assert(features[f] >= 1 && features[f] <= FEATURES)
      if (f > 0) assert(features[f] >= features[f - 1])
    }
    assert.deepEqual(features, flight(...of))
  }
})

test('what two flights have in common, and nothing else, they share', () => {
  const first = flight('2001-03-05T08:12:00Z', 250, 'LAX', 'SFO') // a Monday
  // A week later, in the same five minutes: nothing of the date is in the features.
  assert.equal(shared(first, flight('2001-03-12T08:14:00Z', 299, 'LAX', 'SFO')), 15)
  // The next hour: not hour, origin x hour, destination x hour, weekday x hour, route x hour, slot, origin x weekday x hour.
  assert.equal(shared(first, flight('2001-03-05T09:12:00Z', 250, 'LAX', 'SFO')), 8)
  // Tuesday: not weekday, weekday x hour, origin x weekday, destination x weekday, route x weekday, origin x weekday x hour.
  assert.equal(shared(first, flight('2001-03-06T08:12:00Z', 250, 'LAX', 'SFO')), 9)
  assert.equal(shared(first, flight('2001-03-05T08:12:00Z', 300, 'LAX', 'SFO')), 14)
  // The way back: hour, weekday, weekday x hour, distance, slot.
  assert.equal(shared(first, flight('2001-03-05T08:12:00Z', 250, 'SFO', 'LAX')), 5)
})

test('a line has its label and each feature once, with its count', () => {
  assert.equal(lineOf(true, [3, 5, 5, 1048576]), '1 3:1 5:2 1048576:1\n')
  assert.equal(lineOf(false, [1]), '0 1:1\n')
})

test('13 June is the first day held out', () => {
  assert(Date.parse('2001-06-12T23:59:00Z') < HELD_OUT_FROM)
  assert.equal(Date.parse('2001-06-13T00:00:00Z'), HELD_OUT_FROM)
})
