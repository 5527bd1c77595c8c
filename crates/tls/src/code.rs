use std::fmt;

use crate::Alert;

/// Declares the codes once: variant, text, and when it comes.
macro_rules! codes {
    ($($variant:ident = $text:literal, $when:literal;)*) => {
        /// The code of an error, as users of `node:tls` match it in `error.code`.
        ///
        /// Names that start with `ERR_SSL_` and `ERR_OSSL_` are what Node makes of OpenSSL's
        /// reasons, checked against `node:tls` of Node 20.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`: ", $when)] $variant,)*
            /// The peer sent this alert: `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` and its like.
            AlertReceived(Alert),
        }

        impl Code {
            /// The text of `error.code`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::AlertReceived(alert) => received(alert),
                }
            }

            /// Every code but those of received alerts, for tests that compare tables.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

codes! {
    HttpRequest = "ERR_SSL_HTTP_REQUEST", "plain HTTP came to the TLS port.";
    HttpsProxyRequest = "ERR_SSL_HTTPS_PROXY_REQUEST", "a plain CONNECT came to the TLS port.";
    WrongVersionNumber = "ERR_SSL_WRONG_VERSION_NUMBER", "what came is no TLS record.";
    UnknownProtocol = "ERR_SSL_UNKNOWN_PROTOCOL", "an SSL 2.0 ClientHello came.";
    UnsupportedProtocol = "ERR_SSL_UNSUPPORTED_PROTOCOL", "no protocol version in common.";
    NoSharedCipher = "ERR_SSL_NO_SHARED_CIPHER",
        "no cipher suite in common; in TLS 1.2 also no group or signature algorithm.";
    NoSuitableKeyShare = "ERR_SSL_NO_SUITABLE_KEY_SHARE",
        "no key exchange group in common (TLS 1.3).";
    NoSuitableSignatureAlgorithm = "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM",
        "no identity can sign as the client wants it (TLS 1.3).";
    NoSharedSignatureAlgorithms = "ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS",
        "the client takes none of the signature algorithms that are known here.";
    MissingSupportedGroupsExtension = "ERR_SSL_MISSING_SUPPORTED_GROUPS_EXTENSION",
        "the client names no key exchange groups (TLS 1.3).";
    MissingSigalgsExtension = "ERR_SSL_MISSING_SIGALGS_EXTENSION",
        "the client names no signature algorithms (TLS 1.3).";
    InappropriateFallback = "ERR_SSL_INAPPROPRIATE_FALLBACK",
        "the client fell back to TLS 1.2 although both ends speak TLS 1.3.";
    RenegotiationMismatch = "ERR_SSL_RENEGOTIATION_MISMATCH",
        "the first ClientHello says that it renegotiates.";
    NoApplicationProtocol = "ERR_SSL_NO_APPLICATION_PROTOCOL", "ALPN without overlap.";
    UnexpectedMessage = "ERR_SSL_UNEXPECTED_MESSAGE", "a message that has no place here.";
    PacketLengthTooLong = "ERR_SSL_PACKET_LENGTH_TOO_LONG", "a record above its limit.";
    ExcessiveMessageSize = "ERR_SSL_EXCESSIVE_MESSAGE_SIZE", "a handshake message above its limit.";
    LengthTooShort = "ERR_SSL_LENGTH_TOO_SHORT", "a ClientHello that ends before its version.";
    LengthMismatch = "ERR_SSL_LENGTH_MISMATCH", "a message whose contents don't fit its length.";
    BadExtension = "ERR_SSL_BAD_EXTENSION", "an extension that is malformed, missing or misplaced.";
    BadKeyShare = "ERR_SSL_BAD_KEY_SHARE", "a key share that is no point of its group.";
    BadPsk = "ERR_SSL_BAD_PSK", "a pre-shared key offer that is malformed.";
    BinderDoesNotVerify = "ERR_SSL_BINDER_DOES_NOT_VERIFY", "a ticket without its secret.";
    NoCompressionSpecified = "ERR_SSL_NO_COMPRESSION_SPECIFIED", "null compression is missing.";
    PeerDidNotReturnACertificate = "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
        "a client certificate is required and none came.";
    CertHasExpired = "CERT_HAS_EXPIRED", "the client certificate has expired.";
    CertNotYetValid = "CERT_NOT_YET_VALID", "the client certificate is not valid yet.";
    CertRevoked = "CERT_REVOKED", "the client certificate was revoked.";
    UnableToGetCrl = "UNABLE_TO_GET_CRL",
        "there is no revocation list of the issuer of a certificate in the client's chain.";
    CrlHasExpired = "CRL_HAS_EXPIRED", "a revocation list for the client's chain has expired.";
    CrlSignatureFailure = "CRL_SIGNATURE_FAILURE",
        "the signature of a revocation list is not its issuer's.";
    CertSignatureFailure = "CERT_SIGNATURE_FAILURE",
        "a signature in the client's chain is not its issuer's.";
    InvalidPurpose = "INVALID_PURPOSE", "the client certificate is not made for client use.";
    PathLengthExceeded = "PATH_LENGTH_EXCEEDED",
        "an authority in the client's chain allows no chain as long.";
    Unspecified = "UNSPECIFIED",
        "the client certificate can't be verified, for a reason that node:tls has no name for.";
    DepthZeroSelfSignedCert = "DEPTH_ZERO_SELF_SIGNED_CERT",
        "the client certificate signed itself and is not trusted.";
    SelfSignedCertInChain = "SELF_SIGNED_CERT_IN_CHAIN",
        "the client's chain ends in a root that is not trusted.";
    UnableToGetIssuerCertLocally = "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "the client's chain ends before a trusted root.";
    UnableToVerifyLeafSignature = "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "the client's certificate came alone and its issuer is not trusted.";
    UnableToGetIssuerCert = "UNABLE_TO_GET_ISSUER_CERT",
        "no client certificate came (node:tls names it so), or its chain ends at a certificate of \
         `ca` that is no root.";
    BadSignature = "ERR_SSL_BAD_SIGNATURE", "a signature in the handshake is wrong.";
    DigestCheckFailed = "ERR_SSL_DIGEST_CHECK_FAILED", "the client's Finished is wrong.";
    DecryptionFailed = "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
        "a record that does not decrypt.";
    BadRecordType = "ERR_SSL_BAD_RECORD_TYPE", "a record of unknown type.";
    TooManyWarnAlerts = "ERR_SSL_TOO_MANY_WARN_ALERTS", "a flood of warnings.";
    RecordTooSmall = "ERR_SSL_RECORD_TOO_SMALL",
        "a ClientHello in more records than anybody needs.";
    NoRenegotiation = "ERR_SSL_NO_RENEGOTIATION", "a flood of renegotiation requests.";
    ProtocolIsShutdown = "ERR_SSL_PROTOCOL_IS_SHUTDOWN", "the traffic keys are used up.";
    UnknownAlertType = "ERR_SSL_UNKNOWN_ALERT_TYPE", "an alert that has no place here.";
    ConnectionReset = "ECONNRESET", "the client left in the middle of the handshake.";
    PemNoStartLine = "ERR_OSSL_PEM_NO_START_LINE", "there is no PEM block of the wanted kind.";
    PemBadBase64Decode = "ERR_OSSL_PEM_BAD_BASE64_DECODE", "a PEM block is no base64.";
    PemBadEndLine = "ERR_OSSL_PEM_BAD_END_LINE", "a PEM block has no end.";
    Asn1NotEnoughData = "ERR_OSSL_ASN1_NOT_ENOUGH_DATA", "a certificate is no X.509 certificate.";
    KeyUnsupported = "ERR_OSSL_UNSUPPORTED", "a private key of no supported kind.";
    KeyValuesMismatch = "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
        "the private key is not the certificate's.";
    KeyTooSmall = "ERR_SSL_EE_KEY_TOO_SMALL", "an RSA key below 2048 bits.";
    CryptoOperationFailed = "ERR_CRYPTO_OPERATION_FAILED",
        "a revocation list or a PKCS#12 file can't be read.";
    CryptoUnsupportedOperation = "ERR_CRYPTO_UNSUPPORTED_OPERATION",
        "a PKCS#12 file is encrypted in an unknown way.";
    IllegalExporterLabel = "ERR_SSL_TLS_ILLEGAL_EXPORTER_LABEL",
        "keying material was asked for with a label that TLS itself uses.";
    InvalidProtocolVersion = "ERR_TLS_INVALID_PROTOCOL_VERSION", "the lowest version is above the highest.";
    NoCipherMatch = "ERR_SSL_NO_CIPHER_MATCH", "the cipher suites fit none of the versions.";
    InvalidArgument = "ERR_INVALID_ARG_VALUE", "an option has a value that can't be used.";
    Rejected = "ERR_OFFLOOP_REJECTED", "the caller refused this ClientHello.";
    EmptyRecords = "ERR_OFFLOOP_EMPTY_RECORDS",
        "more records in a row that carry no data than `limits.emptyRecords`.";
    Internal = "ERR_OFFLOOP_INTERNAL", "a fault of this end.";
}

/// OpenSSL's names: `SSLV3` for alerts that SSL 3.0 had, `TLSV1` and `TLSV13` for later ones.
fn received(alert: Alert) -> &'static str {
    match alert {
        Alert::CloseNotify => "ECONNRESET",
        Alert::UnexpectedMessage => "ERR_SSL_SSLV3_ALERT_UNEXPECTED_MESSAGE",
        Alert::BadRecordMac => "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC",
        Alert::DecryptionFailed => "ERR_SSL_TLSV1_ALERT_DECRYPTION_FAILED",
        Alert::RecordOverflow => "ERR_SSL_TLSV1_ALERT_RECORD_OVERFLOW",
        Alert::DecompressionFailure => "ERR_SSL_SSLV3_ALERT_DECOMPRESSION_FAILURE",
        Alert::HandshakeFailure => "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
        Alert::NoCertificate => "ERR_SSL_SSLV3_ALERT_NO_CERTIFICATE",
        Alert::BadCertificate => "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
        Alert::UnsupportedCertificate => "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        Alert::CertificateRevoked => "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
        Alert::CertificateExpired => "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
        Alert::CertificateUnknown => "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        Alert::IllegalParameter => "ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER",
        Alert::UnknownCa => "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
        Alert::AccessDenied => "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED",
        Alert::DecodeError => "ERR_SSL_TLSV1_ALERT_DECODE_ERROR",
        Alert::DecryptError => "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
        Alert::ProtocolVersion => "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
        Alert::InsufficientSecurity => "ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY",
        Alert::InternalError => "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
        Alert::InappropriateFallback => "ERR_SSL_TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        Alert::UserCanceled => "ERR_SSL_TLSV1_ALERT_USER_CANCELLED",
        Alert::NoRenegotiation => "ERR_SSL_TLSV1_ALERT_NO_RENEGOTIATION",
        Alert::MissingExtension => "ERR_SSL_TLSV13_ALERT_MISSING_EXTENSION",
        Alert::UnsupportedExtension => "ERR_SSL_TLSV1_UNSUPPORTED_EXTENSION",
        Alert::UnrecognizedName => "ERR_SSL_TLSV1_UNRECOGNIZED_NAME",
        Alert::BadCertificateStatusResponse => "ERR_SSL_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
        Alert::UnknownPskIdentity => "ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
        Alert::CertificateRequired => "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
        Alert::NoApplicationProtocol => "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        Alert::Unknown(_) => "ERR_SSL_UNKNOWN_ALERT_TYPE",
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_code_stands_twice_in_the_table() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }
}
