/**
 * The answers of an engine (src/effects/engine.ts), said once. Each case is run on the engine in memory, on Open vSwitch with the
 * stand-in database, and on Open vSwitch itself. Outcomes are compared by their kinds, their codes and the names of their facts.
 */
import { bridgeCases } from './engine/bridge-cases.ts';
import { portCases } from './engine/port-cases.ts';
import { removalCases } from './engine/removal-cases.ts';
import type { EngineCase } from './engine/scene.ts';
import { sightCases } from './engine/sight-cases.ts';

export const engineCases: readonly EngineCase[] = [...bridgeCases, ...portCases, ...removalCases, ...sightCases];
