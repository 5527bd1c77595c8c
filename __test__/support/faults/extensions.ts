/** Numbers of TLS extensions (IANA). */
export const SERVER_NAME = 0;
export const SUPPORTED_GROUPS = 10;
export const EC_POINT_FORMATS = 11;
export const SIGNATURE_ALGORITHMS = 13;
export const ALPN = 16;
export const EXTENDED_MASTER_SECRET = 23;
export const SESSION_TICKET = 35;
export const PRE_SHARED_KEY = 41;
export const SUPPORTED_VERSIONS = 43;
export const COOKIE = 44;
export const PSK_MODES = 45;
export const KEY_SHARE = 51;
export const RENEGOTIATION_INFO = 0xff01;
