export const firstNames = [
  'Anna', 'Zoë', 'François', 'Jürgen', 'Søren', 'María', 'Łukasz', 'Ingrid', 'Omar', 'Yuki', 'Chloé', 'Björn', 'Niamh', 'Óscar', 'Priya', 'Đorđe',
  'Emily', 'Ahmed', 'Wei', 'Katarína', 'Noah', 'Amélie', 'Håkon', 'Beatriz',
] as const;

export const lastNames = [
  'Müller', 'O\'Brien', 'García', 'Nguyễn', 'Smith', 'Kowalski', 'Öztürk', 'Jensen', 'D\'Angelo', 'van der Berg', 'Lefèvre', 'Ibrahim', 'Tanaka',
  'Novák', 'Álvarez', 'Schröder', 'Lindström', 'Silva', 'Patel', 'Ferreira',
] as const;

export const places = [
  { city: 'Berlin', country: 'Germany', postalCode: '10115' },
  { city: 'Dresden', country: 'Germany', postalCode: '01067' },
  { city: 'München', country: 'Germany', postalCode: '80331' },
  { city: 'Paris', country: 'France', postalCode: '75004' },
  { city: 'Nîmes', country: 'France', postalCode: '30000' },
  { city: 'Bourg-en-Bresse', country: 'France', postalCode: '01000' },
  { city: 'México D.F.', country: 'Mexico', postalCode: '05021' },
  { city: 'Boston', country: 'USA', postalCode: '02108' },
  { city: 'London', country: 'UK', postalCode: 'WC2N 5DU' },
  { city: 'København', country: 'Denmark', postalCode: '1050' },
  { city: 'Kraków', country: 'Poland', postalCode: '30-001' },
  { city: 'São Paulo', country: 'Brazil', postalCode: '01000-000' },
] as const;

export const streets = ['Hauptstraße', 'Rue de l\'Église', 'High Street', 'Calle Mayor', 'Ørstedsvej', 'Avenida Paulista', 'ul. Długa'] as const;

/** Free text with everything that trips a careless reader of CSV. */
export const notes = [
  'prefers e-mail',
  'said "call me back", twice',
  'first line\nsecond line',
  'windows\r\nline break',
  'semicolons; and, commas\tand tabs',
  '=SUM(A1:A9)',
  'ends with a quote "',
  'emoji 🛒 and café',
  'NULL',
  '   ',
] as const;

export const products = [
  { id: '0001', name: 'Espresso cup', price: 7.5 },
  { id: '0002', name: 'Teapot "Kyoto"', price: 39.9 },
  { id: '0003', name: 'Crème brûlée set', price: 24 },
  { id: '0017', name: 'Apron, blue', price: 18.25 },
  { id: '0042', name: 'Chef\'s knife', price: 89 },
  { id: '0108', name: 'Jar; glass, 1 l', price: 5.2 },
  { id: '0256', name: 'Baking tin', price: 12.75 },
  { id: '1024', name: 'Pasta roller', price: 54.4 },
] as const;
