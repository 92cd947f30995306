/** The published JSON Schema as a validator of another hand: ajv in strict mode, which refuses a schema with an odd keyword. */
import { Ajv } from 'ajv';
import { networkSchema } from '../../src/cni/config/network-schema.ts';

const validate = new Ajv({ strict: true, allErrors: true }).compile(networkSchema('0.0.0'));

/** @returns each fault by its place; none for a valid document */
export function schemaFaults(document: unknown): string[] {
  validate(document);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
