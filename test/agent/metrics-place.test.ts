import { describe, expect, it } from 'vitest';
import { metricsPlace } from '../../src/agent/metrics-place.ts';

describe('the address of --metrics', () => {
  it.each([
    ['127.0.0.1:9468', { hostname: '127.0.0.1', port: 9468 }],
    ['[::1]:1', { hostname: '::1', port: 1 }],
    ['unix:/run/metrics', { unix: '/run/metrics' }],
  ])('may be %s', (address, place) => {
    expect(metricsPlace(address)).toEqual(place);
  });

  it.each([
    '',
    '9468',
    ':9468',
    '0.0.0.0:9468',
    '[::]:9468',
    'localhost:9468',
    '10.0.0.1:9468',
    '127.0.0.1',
    '127.0.0.1:0',
  ])('is none: %j, and what to do is said', (address) => {
    expect(() => metricsPlace(address)).toThrow(/127\.0\.0\.1:PORT.*a proxy that authenticates/);
  });

  it.each(['127.0.0.1:65536', 'unix:', 'unix:relative', 'unix:/directory/'])('is none: %j', (address) => {
    expect(() => metricsPlace(address)).toThrow('--metrics');
  });
});
