export function publicApi(): { report: string; types: string; silent: string[] };
