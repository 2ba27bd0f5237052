/** @param {unknown} value @returns {Record<string, any>} */
export function record(value: unknown): Record<string, any>;
/** @param {unknown} value @returns {any[]} */
export function list(value: unknown): any[];
/** @param {string} expected */
export function unusable(expected: string): UnavailableError;
/** @param {unknown} value @returns {string | null} */
export function text(value: unknown): string | null;
/** @param {unknown} value @returns {number | null} */
export function real(value: unknown): number | null;
/** @param {unknown} value @returns {number} */
export function count(value: unknown): number;
/** @param {unknown} value @returns {bigint} */
export function units(value: unknown): bigint;
/** @param {unknown} value @returns {Date | null} */
export function time(value: unknown): Date | null;
/** @param {unknown} value @returns {Record<string, string>} */
export function tags(value: unknown): Record<string, string>;
/**
 * @template T
 * @param {unknown} content @param {(value: unknown) => T | null} read
 * @returns {{p10: T, p50: T, p90: T} | null}
 */
export function quantiles<T>(content: unknown, read: (value: unknown) => T | null): {
    p10: T;
    p50: T;
    p90: T;
} | null;
import { UnavailableError } from "./errors.js";
