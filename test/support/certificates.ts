/** Certificates of an authority of its own, made by `openssl`. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string;
  /** Of a server at 127.0.0.1 and localhost, and of a client. */
  readonly server: { cert: string; key: string };
  readonly client: { cert: string; key: string };
}

export async function createCertificates(): Promise<Certificates> {
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-ca-"));
  const path = (name: string) => join(directory, name);
  const [ca, caKey] = [path("ca.pem"), path("ca-key.pem")];
  const subject = (name: string) => ["-subj", `/CN=${name}`];
  const make = "-newkey rsa:2048 -nodes -days 2".split(" ");
  await Bun.$`openssl req -x509 ${make} ${subject("an authority")} -keyout ${caKey} -out ${ca}`.quiet();
  const issue = async (name: string) => {
    const [cert, key] = [path(`${name}.pem`), path(`${name}-key.pem`)];
    const names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
    await Bun.$`openssl req -x509 -CA ${ca} -CAkey ${caKey} ${make} ${subject(name)} -addext ${names} -addext basicConstraints=critical,CA:FALSE -keyout ${key} -out ${cert}`.quiet();
    return { cert, key };
  };
  return { ca, server: await issue("server"), client: await issue("client") };
}
