import iconv from 'iconv-lite';
import { charset, type Charset } from '@millrace/domain';
import { CharsetEncoder, type EncoderOptions } from './index.js';
import { createDecoder } from './charset.js';

async function encode(chunks: (string | Buffer)[], to: Charset, options?: EncoderOptions): Promise<Buffer> {
  const encoder = new CharsetEncoder(to, options);
  for (const chunk of chunks) encoder.write(chunk);
  encoder.end();
  const parts: Buffer[] = [];
  for await (const part of encoder) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

describe('CharsetEncoder', () => {
  it.each(charset.options)('writes %s as iconv-lite does, from strings and from bytes cut anywhere', async (to) => {
    const text = to === 'iso-8859-1' ? 'naïve Jörg ÿ\n' : 'naïve Jörg “€” ž\n';
    const expected = iconv.encode(text, to === 'utf-8-bom' ? 'utf-8' : to, {
      addBOM: to !== 'utf-8' && !to.includes('-8859') && to !== 'windows-1252',
    });
    expect(await encode([text], to)).toEqual(expected);
    expect(
      await encode(
        [...Buffer.from(text)].map((byte) => Buffer.of(byte)),
        to,
      ),
    ).toEqual(expected);
  });

  it('fails on a character the charset does not have, or counts what it replaced', async () => {
    await expect(encode(['a€b'], 'iso-8859-1')).rejects.toMatchObject({ code: 'not-encodable' });
    await expect(encode(['a\ud800b'], 'utf-8')).rejects.toMatchObject({ code: 'not-encodable' });
    expect((await encode(['a😀€b'], 'windows-1252', { unencodable: 'replace' })).toString('latin1')).toBe('a?\x80b');
  });

  it('keeps a U+FEFF at the start of the text', async () => {
    expect((await encode(['\ufeffa'], 'utf-8')).toString('hex')).toBe('efbbbfefbbbf61');
  });
});

describe('createDecoder', () => {
  it('decodes every byte of Windows-1252 as iconv-lite does', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    expect(createDecoder('windows-1252', 0).decode(bytes, true).text).toBe(iconv.decode(bytes, 'windows-1252'));
  });
});
