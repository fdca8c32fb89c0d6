import { randomBytes } from 'node:crypto';
import { boxCloser, deriveBoxKeys, openBox } from './sealed-box.js';

describe('sealed boxes', () => {
  const sealingKey = new Uint8Array(randomBytes(32));
  const { publicKey, privateKey } = deriveBoxKeys(sealingKey);

  it('are closed with the public key and opened with what the sealing key gives again', () => {
    const close = boxCloser(publicKey);
    const boxes = [close('geheim ✓', 'here'), close('geheim ✓', 'here')];
    expect(boxes[0]).not.toBe(boxes[1]);
    expect(publicKey).toHaveLength(32);
    const again = deriveBoxKeys(sealingKey).privateKey;
    expect(boxes.map((box) => openBox(box, again, 'here'))).toEqual(['geheim ✓', 'geheim ✓']);
  });

  it('do not open elsewhere, with another key, changed, or when they are none', () => {
    const box = boxCloser(publicKey)('x', 'here');
    const flipped = box.slice(0, -2) + (box.endsWith('A') ? 'BA' : 'AA');
    const broken = expect.objectContaining({ code: 'seal-broken' }) as Error;
    expect(() => openBox(box, privateKey, 'there')).toThrow(broken);
    expect(() => openBox(box, deriveBoxKeys(new Uint8Array(32)).privateKey, 'here')).toThrow(broken);
    for (const text of [flipped, '', 'x1.a.b.c', 'v1.AAAA.BBBB'])
      expect(() => openBox(text, privateKey, 'here')).toThrow(broken);
  });
});
