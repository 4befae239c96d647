/** A gRPC service of all four kinds of calls without a schema: messages are bytes. Server and client are those of grpc-js. */
import {
  Client,
  credentials,
  type Deadline,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type StatusObject,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';

const bytes = (value: Buffer) => value;
const method = (path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const SERVICE = {
  echo: method('/test.Calls/echo', false, false),
  count: method('/test.Calls/count', false, true),
  sum: method('/test.Calls/sum', true, false),
  talk: method('/test.Calls/talk', true, true),
  fail: method('/test.Calls/fail', false, false),
  wait: method('/test.Calls/wait', false, false),
  forbidden: method('/test.Secret/forbidden', false, false),
};

export interface Calls {
  readonly port: number;
  /** Calls that clients have cancelled, as the server saw it. */
  readonly cancelled: string[];
  close(): void;
}

/** `echo` sends back, `count` sends 1 to n, `sum` adds up, `talk` answers each message at once, `fail` fails, `wait` never answers. */
export async function startCalls(): Promise<Calls> {
  const server = new Server();
  const cancelled: string[] = [];
  server.addService(SERVICE, {
    echo(call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
      const trailers = new Metadata();
      trailers.set('seen', String(call.metadata.get('asked')[0] ?? 'nothing'));
      answer(null, call.request, trailers);
    },
    count(call: ServerWritableStream<Buffer, Buffer>) {
      for (let i = 1; i <= Number(call.request); i++) call.write(Buffer.from(String(i)));
      call.end();
    },
    sum(call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
      let sum = 0;
      call.on('data', (message: Buffer) => (sum += Number(message)));
      call.on('end', () => answer(null, Buffer.from(String(sum))));
    },
    talk(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (message: Buffer) => call.write(Buffer.from(`heard ${message}`)));
      call.on('end', () => call.end());
      call.on('cancelled', () => cancelled.push('talk'));
      call.on('error', () => undefined);
    },
    fail(_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
      answer({ code: status.FAILED_PRECONDITION, details: 'not today' });
    },
    wait(call: ServerUnaryCall<Buffer, Buffer>) {
      call.on('cancelled', () => cancelled.push('wait'));
    },
    forbidden(_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
      answer(null, Buffer.from('reached'));
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, cancelled, close: () => server.forceShutdown() };
}

export interface Answer {
  readonly message: string | null;
  readonly code: number;
  readonly details: string;
  readonly trailers: Metadata;
}

export class Caller {
  private readonly client: Client;

  constructor(port: number) {
    this.client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  close(): void {
    this.client.close();
  }

  unary(name: 'echo' | 'fail' | 'wait' | 'forbidden', message: string, deadline: Deadline = Date.now() + 5_000): Promise<Answer> {
    const { path } = SERVICE[name];
    const metadata = new Metadata();
    metadata.set('asked', name);
    return new Promise((resolve) => {
      let answer: string | null = null;
      let failure: ServiceError | null = null;
      const call = this.client.makeUnaryRequest(path, bytes, bytes, Buffer.from(message), metadata, { deadline }, (error, value) => {
        failure = error;
        answer = value === undefined ? null : value.toString();
      });
      call.on('status', (ended) =>
        setImmediate(() =>
          resolve({ message: failure === null ? answer : null, code: ended.code, details: ended.details, trailers: ended.metadata }),
        ),
      );
    });
  }

  count(to: number): Promise<string[]> {
    const call = this.client.makeServerStreamRequest(SERVICE.count.path, bytes, bytes, Buffer.from(String(to)));
    const got: string[] = [];
    return new Promise((resolve, reject) => {
      call.on('data', (message: Buffer) => got.push(message.toString()));
      call.on('end', () => resolve(got));
      call.on('error', reject);
    });
  }

  sum(numbers: readonly number[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = this.client.makeClientStreamRequest(SERVICE.sum.path, bytes, bytes, (error, value) =>
        error === null ? resolve(value!.toString()) : reject(error),
      );
      for (const number of numbers) call.write(Buffer.from(String(number)));
      call.end();
    });
  }

  talk() {
    const call = this.client.makeBidiStreamRequest(SERVICE.talk.path, bytes, bytes);
    const waiting: ((text: string) => void)[] = [];
    const status = new Promise<StatusObject>((resolve) => call.on('status', resolve));
    const ended = status.then(({ code }) => code);
    call.on('data', (message: Buffer) => waiting.shift()?.(message.toString()));
    call.on('error', () => undefined);
    return {
      ended,
      status,
      say: (text: string) =>
        new Promise<string>((resolve) => {
          waiting.push(resolve);
          call.write(Buffer.from(text));
        }),
      end: () => call.end(),
      cancel: () => call.cancel(),
    };
  }
}
