import { InputError, TransientError } from '@millrace/domain';
import { createTransport } from 'nodemailer';

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** The same however often it is sent: becomes the Message-ID, by which servers and readers drop repetitions. */
  readonly id: string;
}

/** Sends a mail; resolves when the SMTP server has taken it. InputError: it never will; TransientError: try again. */
export type Mailer = (mail: Mail) => Promise<void>;

const patienceMs = 10_000;

/**
 * `url`: `smtp://` (STARTTLS where the server offers it, always where a password is sent) or `smtps://`, options of nodemailer as query.
 * `from`: the sender's address.
 */
export function smtpMailer(url: string, from: string): Mailer {
  const target = new URL(url);
  const sendsPassword = target.password !== '';
  if (target.protocol === 'smtp:' && sendsPassword && !target.searchParams.has('requireTLS'))
    target.searchParams.set('requireTLS', 'true');
  const transport = createTransport({
    url: target.href,
    connectionTimeout: patienceMs,
    greetingTimeout: patienceMs,
    socketTimeout: patienceMs,
    dnsTimeout: patienceMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = from.slice(from.lastIndexOf('@') + 1);
  return async ({ to, subject, text, id }) => {
    try {
      await transport.sendMail({
        from,
        to: { name: '', address: to },
        subject,
        text,
        messageId: `<${id}@${domain}>`,
        headers: { 'millrace-alert-id': id, 'auto-submitted': 'auto-generated' },
      });
    } catch (error) {
      throw mailError(error);
    }
  };
}

interface SmtpError {
  readonly code?: string;
  /** The SMTP command that was refused. */
  readonly command?: string;
  readonly responseCode?: number;
}

/** Codes alone: what servers say quotes addresses. */
function mailError(error: unknown): Error {
  const { code = 'unknown', command, responseCode } = error as SmtpError;
  const answered = responseCode === undefined ? '' : `, it answered ${responseCode}`;
  // A refused login or connection is mended by the operator; a refused address or message never passes.
  const refusedForGood =
    (command === 'RCPT TO' || command === 'DATA') && responseCode !== undefined && responseCode >= 500;
  if (refusedForGood)
    return new InputError(
      'mail-refused',
      `the mail server refuses this address or message for good (${code}${answered})`,
      {
        cause: error,
      },
    );
  return new TransientError('mail-not-sent', `the mail server has not taken the message (${code}${answered})`, {
    cause: error,
  });
}
