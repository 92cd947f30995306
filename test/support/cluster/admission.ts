/** A webhook of a cluster's own for pods' status. The test decides, as a policy engine would, what becomes of our writes. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Api, adminToken, ask, type Json } from '../stand-in/api.ts';
import { authority } from '../stand-in/certificates.ts';

export type Annotations = Readonly<Record<string, string>>;

/** @returns other annotations, or why these are refused and with which code */
type Opinion = (
  annotations: Annotations,
  old: Annotations,
) => Annotations | { readonly code: number; readonly message: string };

const configurations = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

export class Admission {
  /** How often it was asked. */
  asked = 0;
  readonly #api: Api;
  readonly #directory: string;
  readonly #server: ReturnType<typeof Bun.serve>;

  private constructor(
    api: Api,
    directory: string,
    opinion: Opinion,
    pair: { readonly cert: string; readonly key: string },
  ) {
    this.#api = api;
    this.#directory = directory;
    this.#server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      tls: pair,
      fetch: async (request) => {
        const { request: review } = (await request.json()) as Json;
        this.asked++;
        const [annotations, old] = [review.object, review.oldObject].map(({ metadata }) => metadata.annotations ?? {});
        const verdict = opinion(annotations, old);
        return Response.json({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid: review.uid, ...responseOf(verdict) },
        });
      },
    });
  }

  static async start(api: Api, opinion: Opinion): Promise<Admission> {
    const directory = mkdtempSync(join(tmpdir(), 'usw-admission-'));
    const own = authority(directory);
    const admission = new Admission(api, directory, opinion, own.server());
    const webhook = {
      name: 'guard.test.example',
      clientConfig: {
        url: `https://127.0.0.1:${admission.#server.port}/`,
        caBundle: Buffer.from(own.ca).toString('base64'),
      },
      rules: [{ operations: ['UPDATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods/status'] }],
      failurePolicy: 'Fail',
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      timeoutSeconds: 2,
    };
    const { status, json } = await ask(api, 'POST', configurations, {
      metadata: { name: 'guard' },
      webhooks: [webhook],
    });
    if (status !== 201) throw new Error(`the webhook was not taken: ${JSON.stringify(json)}`);
    return admission;
  }

  /** Until the API server asks it: it learns of a webhook in its own time. */
  async whenAsked(podName: string): Promise<void> {
    for (let count = 0; this.asked === 0; count++) {
      await this.#api.patchStatus(podName, { metadata: { annotations: { probe: `${count}` } } }).catch(() => undefined);
      await Bun.sleep(50);
    }
    this.asked = 0;
  }

  /** It is still registered, and cannot be called. */
  async stopServer(): Promise<void> {
    await this.#server.stop(true);
  }

  async stop(): Promise<void> {
    await ask(this.#api, 'DELETE', `${configurations}/guard`, {}, adminToken);
    await this.stopServer();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function responseOf(verdict: ReturnType<Opinion>): object {
  if ('code' in verdict && typeof verdict.code === 'number') {
    return { allowed: false, status: { code: verdict.code, message: verdict.message } };
  }
  const patch = [{ op: 'add', path: '/metadata/annotations', value: verdict }];
  return { allowed: true, patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
}
