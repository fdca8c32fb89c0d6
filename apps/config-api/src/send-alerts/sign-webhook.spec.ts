import { signWebhook } from './sign-webhook.js';

describe('signWebhook', () => {
  it('signs the example of the Standard Webhooks specification as that does', () => {
    const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body: '{"test": 2432232314}' };
    expect(signWebhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', message)).toEqual({
      'webhook-id': message.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('signs id, time and body: another of any of them has another signature', () => {
    const message = { id: 'a', timestamp: 1, body: '{}' };
    const signatures = [message, { ...message, id: 'b' }, { ...message, timestamp: 2 }, { ...message, body: '[]' }].map(
      (signed) => signWebhook('a secret of sixteen', signed)['webhook-signature'],
    );
    expect(new Set(signatures).size).toBe(4);
  });
});
