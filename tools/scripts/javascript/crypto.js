// crypto.randomUUID and crypto.getRandomValues, from ChaCha20 keyed with 256 bits of the operating
// system's randomness that each context is given. `subtle` is not here.
(seed) => {
  'use strict';
  const state = new Uint32Array(16);
  state.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  for (let i = 0; i < 8; i++) state[4 + i] = parseInt(seed.slice(i * 8, i * 8 + 8), 16);
  let block = new Uint8Array(0);
  let used = 0;
  const refill = () => {
    const work = Uint32Array.from(state);
    const mix = (a, b, c, d) => {
      const turn = (x, y, z, bits) => {
        work[x] += work[y];
        const value = work[z] ^ work[x];
        work[z] = (value << bits) | (value >>> (32 - bits));
      };
      turn(a, b, d, 16); turn(c, d, b, 12); turn(a, b, d, 8); turn(c, d, b, 7);
    };
    for (let round = 0; round < 10; round++) {
      mix(0, 4, 8, 12); mix(1, 5, 9, 13); mix(2, 6, 10, 14); mix(3, 7, 11, 15);
      mix(0, 5, 10, 15); mix(1, 6, 11, 12); mix(2, 7, 8, 13); mix(3, 4, 9, 14);
    }
    for (let i = 0; i < 16; i++) work[i] += state[i];
    if (++state[12] === 0) state[13]++;
    block = new Uint8Array(work.buffer);
    used = 0;
  };
  const fill = (bytes) => {
    for (let i = 0; i < bytes.length; i++) {
      if (used >= block.length) refill();
      bytes[i] = block[used++];
    }
    return bytes;
  };
  const crypto = {
    randomUUID() {
      const bytes = fill(new Uint8Array(16));
      bytes[6] = (bytes[6] & 15) | 64;
      bytes[8] = (bytes[8] & 63) | 128;
      let out = '';
      for (let i = 0; i < 16; i++) {
        out += (i === 4 || i === 6 || i === 8 || i === 10 ? '-' : '') + (bytes[i] < 16 ? '0' : '') + bytes[i].toString(16);
      }
      return out;
    },
    getRandomValues(array) {
      if (!ArrayBuffer.isView(array) || array instanceof DataView || array instanceof Float32Array || array instanceof Float64Array) {
        throw new TypeError('getRandomValues needs an array of integers');
      }
      if (array.byteLength > 65536) throw new RangeError('getRandomValues gives at most 65,536 bytes at once');
      fill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
      return array;
    },
  };
  return { crypto };
}
