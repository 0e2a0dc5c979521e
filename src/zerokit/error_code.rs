//! The platform's 115 error codes: HTTP status, meaning on a read and on a verdict, and the reference's sentence.
//!
//! The one table that says so. A code that is not in it is treated like `StandardHttpErrorWrapping`: never as a success.

use crate::domain::disposition::Disposition;

macro_rules! error_codes {
    ($($code:ident $status:literal $read:ident $verdict:ident $message:literal,)+) => {
        /// An error code of the platform, as the reference lists it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", stringify!($code), "` of the reference.")]
                $code,
            )+
        }

        impl ErrorCode {
            /// All codes, in the order of the reference.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$code),+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$code => stringify!($code)),+ }
            }

            /// The HTTP status that goes with it; none for `StandardHttpErrorWrapping`.
            #[must_use]
            pub const fn http_status(self) -> Option<u16> {
                let status = match self { $(ErrorCode::$code => $status),+ };
                if status == 0 { None } else { Some(status) }
            }

            /// The reference's sentence.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(ErrorCode::$code => $message),+ }
            }

            /// What it means when details or lists are read.
            #[must_use]
            pub const fn on_read(self) -> Disposition {
                match self { $(ErrorCode::$code => Disposition::$read),+ }
            }

            /// What it means when a verdict is sent.
            #[must_use]
            pub const fn on_verdict(self) -> Disposition {
                match self { $(ErrorCode::$code => Disposition::$verdict),+ }
            }
        }
    };
}

impl ErrorCode {
    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

//   code, HTTP status, meaning on a read, meaning on a verdict, the reference's sentence
error_codes! {
    AgreeCertDoesNotExist 403 Denied Denied "Requested agree certificate doesn't exist.",
    AuthorizationRequiredForNonAnonymousInviteLinks 403 Denied Denied "Authorization is required for non-anonymous invite links.",
    BadInput 400 Gone Gone "Input validation failed.",
    CallerAndTargetUserIsTheSame 400 Denied Denied "The caller user and the target user of the call must not be the same!",
    CallerUserAlreadyTresorMember 400 Denied Already "The caller user has already access to the tresor.",
    CallerUserIsNotMemberOfTresor 403 Denied Denied "Caller user has no permission for this tresor",
    Certificate 403 Denied Denied "General certificate related error.",
    CertificateDataCollision 409 Transient Conflict "Certificate data collide during insert batch.",
    CertificateIssuingFailed 403 Denied Denied "Certificate signing error.",
    CertificateParsing 403 Denied Denied "Error occurred while parsing certificate.",
    CertificateSigning 403 Denied Denied "Certificate signing error.",
    CertToRevocateNotFound 400 Denied Denied "The certificate to revocate does not exist.",
    ClientDisconnected 500 Transient Uncertain "The client is disconnected.",
    ConfigurationError 500 Misconfigured Misconfigured "The configuration of the tenant contains one or more errors.",
    Crypto 403 Denied Denied "General cryptography related error.",
    DbaUploadConflict 500 Transient Uncertain "Azure DBA block format conflicts with the block format of the Azure library! (Probably overlapped DBA and normal upload)",
    DeploymentEnvironmentDoesNotExist 404 Misconfigured Misconfigured "The requested deployment environment does not exist",
    DeviceCertAlreadyRegistered 403 Denied Denied "Device certificate is already registered.",
    DeviceCertFragmentNotFound 403 Denied Denied "Device cert/profile fragment not exists for this certificate.",
    DeviceCertificateMissing 403 Denied Denied "Device certificate missing",
    DeviceCertificateRevoked 400 Denied Denied "The device certificate is revoked.",
    DeviceCertificateSigningRequestsConsistency 403 Denied Denied "Device Certificate Signing Requests not consistent.",
    DomainDoesNotExist 404 Misconfigured Misconfigured "The requested domain does not exists",
    EmailAddressBlocked 403 Denied Denied "Email Address is blocked.",
    EntityExpiredButNotRemovedFromMasterFragment 403 Denied Denied "Entity expired but not removed from MasterFragment",
    EntityRevokedButNotRemovedFromMasterFragment 403 Denied Denied "Entity revoked but not removed from MasterFragment",
    EntityValidButRemovedFromMasterFragment 403 Denied Denied "Entity valid but removed from MasterFragment",
    EtagNotMatch 412 Transient Conflict "Etag mismatch.",
    GetDeviceCertificateCallConsistency 403 Denied Denied "Get Device Certificate call not consistent.",
    GkfBlobConflict 500 Transient Conflict "Gkf upload conflicted during uploading gkf file to the blob.",
    GkfIntegrity 403 Denied Denied "Integrity check of Group Key File failed.",
    HostAlreadyExists 400 Denied Denied "The requested host already exist",
    HostDoesNotExist 404 Misconfigured Misconfigured "The requested host does not exist",
    IllegalClaimValueInjection 400 Denied Denied "User claim value injection is invalid.",
    IllegalTestValueInjection 403 Denied Denied "Test value injection is strictly forbidden in release builds and for non-test users.",
    InvalidActivationId 403 Denied Denied "The provided activation ID is invalid.",
    InvalidAuthorization 403 Misconfigured Misconfigured "Authentication failed for user",
    InvalidAuthSession 403 Misconfigured Misconfigured "AuthSession not found or invalid.",
    InvalidCertificate 403 Denied Denied "Certificate contains invalid values.",
    InvalidHostState 400 Denied Denied "The requested change is invalid in the current state of the host",
    InvalidHostStateTransition 400 Denied Denied "The requested change in the state of the host or its installation is invalid.",
    InvalidInvitationLink 403 Denied Denied "Invitation link is not found or invalid.",
    InvalidMasterFragmentChange 403 Denied Denied "InvalidMasterFragmentChange",
    InvalidRegistrationSessionVerifier 403 Denied Denied "The provided registration session verifier is invalid for the registration session",
    InvalidRegistrationValidationVerifier 403 Denied Denied "The provided registration validation verifier is invalid for the registration session",
    InvalidSession 403 Misconfigured Misconfigured "Session not found or invalid.",
    InvalidTenantStateTransition 400 Denied Denied "The requested change in the state of the tenant or its installation is invalid.",
    InvalidTenantType 400 Denied Denied "Invalid tenant type",
    InvalidToken 403 Misconfigured Misconfigured "Login token is invalid.",
    InvitationLinkAlreadyExists 400 Denied Denied "Invitation link already exists.",
    InvitationLinkBadPasswordTryLimitExceeded 403 Denied Denied "Invitation link's password try limit is exceeded.",
    IpAddressBlocked 403 Misconfigured Misconfigured "IP Address is blocked.",
    LatestAgreeCertNotKnownByClient 412 Transient Conflict "Latest agree certificate is unknown by the client.",
    LatestGkfNotKnownByClient 412 Transient Conflict "Latest group key file is unknown by the client.",
    MasterFragmentEntityKeyTypeViolation 403 Denied Denied "MasterFragment entity key type violation",
    MasterFragmentEntityKeyViolation 403 Denied Denied "MasterFragment entity key violation",
    MasterFragmentEntityUniqueIdViolation 403 Denied Denied "MasterFragment entity unique Id violation",
    MasterFragmentKeyNotFound 400 Denied Denied "Master fragment key not found.",
    MasterFragmentNotFound 404 Denied Denied "Master fragment not found.",
    MasterFragmentUserIdMismatch 400 Denied Denied "MasterFragment user Id mismatch",
    MasterFragmentValidationDataMismatch 403 Denied Denied "MasterFragment validation data mismatch",
    MasterFragmentValidationDataMissing 400 Denied Denied "MasterFragment validation data missing",
    MasterFragmentVersionMismatch 400 Transient Conflict "The given version is not the latest version of the master fragment.",
    MembershipRecordAlreadyExistsForCallerUser 400 Denied Already "The caller user's permission record already exists.",
    MembershipRecordAlreadyExistsForTargetUser 400 Denied Already "The target user's permission record already exists.",
    MembershipRecordNotFoundForCallerUser 400 Denied Denied "The caller user's permission record was not found.",
    MembershipRecordNotFoundForTargetUser 400 Denied Already "The target user's permission record was not found.",
    NotModified 304 Transient Uncertain "Not modified.",
    OnlyForTestUser 403 Denied Denied "Not a test user.",
    PermissionChangeLogVersionNotExists 404 Denied Denied "The requested permission changelog version was not found.",
    PolicyEntityNotExists 404 Denied Denied "Policy not exists.",
    ProfileCertEntityNotFound 400 Denied Denied "The profile cert entity does not exist.",
    ProfileCertificateMissing 403 Denied Denied "Profile certificate missing",
    ProfileSchemaMismatch 400 Denied Denied "Profile schema mismatch.",
    PublicKeysNotDifferent 400 Denied Denied "The public keys are not different.",
    PublicKeysNotEqual 400 Denied Denied "Public keys are not equal",
    RegistrationSessionIdMismatch 400 Denied Denied "The provided registration session id is valid, but belongs to another user is then the given one.",
    RegistrationSessionNotExists 400 Denied Denied "The provided registration session id does not belong to an existing registration session.",
    RequiredClaimNotGranted 403 Denied Denied "Required claim is not granted for the user.",
    StorageConflict 409 Transient Conflict "An unexpected, conflicting storage error happened.",
    StorageNetwork 500 Transient Uncertain "An unexpected, network related storage error happened.",
    SubscriptionDoesNotExist 404 Misconfigured Misconfigured "The requested subscription does not exists",
    SubscriptionTenantLimitReached 400 Denied Denied "The tenant limit of the subscription has already been reached.",
    TargetUserAlreadyTresorMember 400 Denied Already "The target user has already access to the tresor.",
    TargetUserIsNotMemberOfTresor 403 Denied Already "Target user has no permission for this tresor",
    TenantAlreadyExist 400 Denied Denied "The tenant is already exists or the tenant id is taken",
    TenantConfigurationFailed 500 Misconfigured Misconfigured "The configuration of the tenant contains failed.",
    TenantDisabled 503 Transient Transient "Tenant is disabled, therefor the request is unsatisfiable.",
    TenantDoesNotExist 404 Misconfigured Misconfigured "The requested tenant does not exists",
    TenantInstallationAlreadyExists 400 Denied Denied "Could not create teh requested tenant installation because its already exists",
    ThereIsNoAvailableTenant 503 Transient Transient "Currently there is no available tenant to reserve. Try again later.",
    TheseArentTheDroidsYouAreLookingFor 404 Misconfigured Misconfigured "These aren't the droids you're looking for. (How could this happened to you?! Possibly you typed in an invalid url, so the server could not handle your request. Check your code, and try again. May the force be with you!)",
    TresorAlreadyDeleted 400 Gone Gone "Tresor has been deleted.",
    TresorAlreadyExists 400 Denied Denied "Tresor already exists.",
    TresorCreationForbidden 403 Denied Denied "Tresor creation is forbidden by policy.",
    TresorIsAlreadyApproved 400 Denied Already "Tresor is exists, and already approved by the administrator.",
    TresorIsNotApproved 400 Denied Denied "Tresor is exists, but not approved by the administrator yet.",
    TresorNotExists 404 Gone Gone "Tresor head not found.",
    TresorSharingForbidden 403 Denied Denied "Tresor sharing is forbidden by policy.",
    UnauthorizedAccess 403 Misconfigured Misconfigured "Unauthorized access",
    UnexpectedError 500 Transient Uncertain "An unexpected, internal server error has happened.",
    UnexpectedMasterFragmentIntegrityError 400 Denied Denied "Unexpected error occurred during MasterFragment integrity check.",
    UnexpectedStorage 500 Transient Uncertain "An unexpected, internal server error has happened.",
    UnknownMasterFragmentEntityType 403 Denied Denied "MasterFragment entity unique Id violation",
    UserAlreadyRegistered 403 Denied Already "User already registered.",
    UserCertFragmentAlreadySet 403 Denied Denied "UserCertFragment has been already set.",
    UserDeviceEntityNotFound 400 Denied Denied "The device entity does not exist.",
    UserDoesNotHaveAgreeCert 403 Denied Denied "User does not have agree certificate yet.",
    UserInWrongState 403 Denied Already "User is in wrong state.",
    UserIsDisabledByPolicy 403 Denied Denied "User is disabled by policy.",
    UserIsNotDomainMember 403 Denied Denied "The user is not member of the domain",
    UserNotExists 403 Denied Denied "User not exists.",
    UserUnderDeletion 403 Denied Denied "The user's account is under deletion and the worker did not fully finish the process yet.",
    WrongDeviceCertOrigin 403 Denied Denied "The device certificate was not issued by the current infrastructure.",
    StandardHttpErrorWrapping 0 Transient Uncertain "The platform answered with an HTTP error and no error code.",
}
