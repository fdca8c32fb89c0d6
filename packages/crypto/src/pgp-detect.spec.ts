import { hasPgpExtension, pgpForm, withoutPgpExtension } from './pgp-detect.js';

describe('pgpForm', () => {
  it('knows armor, also behind a byte order mark and empty lines', () => {
    expect(pgpForm(Buffer.from('-----BEGIN PGP MESSAGE-----\n'))).toBe('armored');
    expect(pgpForm(Buffer.from('\ufeff\r\n-----BEGIN PGP MESSAGE-----\n'))).toBe('armored');
  });

  it.each([
    ['a session key packet, old format', '85010c03a1b2c3d4e5f60718010800'],
    ['a session key packet, new format', 'c15e03a1b2c3d4e5f6071812010740'],
    ['a password packet', '8c0d04090302a1b2c3d4'],
    ['a one-pass signature', '900d03000801a1b2c3d4e5f60718'],
    ['compressed data', 'a3027801'],
    ['a marker', 'ca03504750c15e03a1b2c3d4e5f60718120107'],
  ])('knows %s', (_name, hex) => {
    expect(pgpForm(Buffer.from(hex, 'hex'))).toBe('binary');
  });

  it.each([
    ['plain text', Buffer.from('id,name\n1,Ann\n')],
    ['UTF-8', Buffer.from('Änderung,Ärger\n')],
    ['UTF-8 in other scripts', Buffer.from('имя,日本語\n')],
    ['ISO-8859-1', Buffer.from('Änderung,Ärger £\n', 'latin1')],
    ['UTF-16', Buffer.from('\ufeffid,name\n', 'utf16le')],
    ['gzip', Buffer.from('1f8b0800000000000003', 'hex')],
    ['nothing', Buffer.alloc(0)],
  ])('takes %s for no message', (_name, head) => {
    expect(pgpForm(head)).toBeUndefined();
  });
});

describe('file names', () => {
  it('are known by their extension', () => {
    expect(['a.pgp', 'a.csv.GPG', 'a.asc', 'a.csv'].map(hasPgpExtension)).toEqual([true, true, true, false]);
    expect(withoutPgpExtension('orders.csv.gz.gpg')).toBe('orders.csv.gz');
  });
});
